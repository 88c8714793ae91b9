"""The mesh of a face: its named points, triangles, normals and smooth outlines."""

import itertools

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

UPPER_LIDS = ((246, 161, 160, 159, 158, 157, 173), (466, 388, 387, 386, 385, 384, 398))
LOWER_LIDS = ((7, 163, 144, 145, 153, 154, 155), (249, 390, 373, 374, 380, 381, 382))
FOLDS = ((247, 30, 29, 27, 28, 56, 190), (467, 260, 259, 257, 258, 286, 414))  # the skin above each upper lid
EYE_CORNERS = ((33, 133), (263, 362))
BROWS = ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), (300, 293, 334, 296, 336, 285, 295, 282, 283, 276))
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
LOWER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324, 146, 91, 181, 84, 17, 314, 405, 321, 375,
             96, 89, 179, 86, 15, 316, 403, 319, 325, 77, 90, 180, 85, 16, 315, 404, 320, 307)  # fmt: skip
NOSTRILS = ((60, 99, 240), (290, 328, 460))


def rotation(yaw: float, pitch: float, roll: float) -> Points:
    """Matrix for column vectors that rolls, then pitches, then yaws."""
    a, b, c = np.radians([-yaw, pitch, roll])
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    lower = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    tip = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(turn @ lower @ tip)


def bump(points: Points, centre: tuple[float, float], radius_x: float, radius_y: float) -> Points:
    """Weight per point: 1 at the centre, falling off smoothly (Gaussian) across the face."""
    x, y = (points[:, 0] - centre[0]) / radius_x, (points[:, 1] - centre[1]) / radius_y
    return np.asarray(np.exp(-(x**2) - y**2))


def mesh_triangles() -> NDArray[np.int64]:
    """Triangles of the face mesh: the 3-cliques of mediapipe's tesselation edges, (854, 3)."""
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION

    neighbours: dict[int, set[int]] = {}
    for a, b in FACEMESH_TESSELATION:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    cliques = {
        tuple(sorted((a, b, c)))
        for a, near in neighbours.items()
        for b, c in itertools.combinations(sorted(near), 2)
        if c in neighbours[b]
    }
    return np.array(sorted(cliques))


def outward(points: Points, triangles: NDArray[np.int64], centre: Points) -> NDArray[np.int64]:
    """The same triangles, each wound so that its normal points away from the centre."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    inside = np.einsum("ij,ij->i", np.cross(b - a, c - a), (a + b + c) / 3 - centre) < 0
    return np.where(inside[:, None], triangles[:, ::-1], triangles)


class Subdivision:
    """Cuts each triangle of a mesh into four, so that flat facets are too small to be seen."""

    def __init__(self, triangles: NDArray[np.int64], n_points: int) -> None:
        edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
        self.edges, where = np.unique(edges, axis=0, return_inverse=True)
        ab, bc, ca = (where.reshape(-1) + n_points).reshape(3, -1)
        a, b, c = triangles.T
        corners = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        self.triangles = np.concatenate([np.stack(t, axis=1) for t in corners])

    def extend(self, values: Points) -> Points:
        """Values at the points, then at the edges' middles."""
        return np.concatenate([values, values[self.edges].mean(axis=1)])


def vertex_normals(points: Points, triangles: NDArray[np.int64]) -> Points:
    """Unit normal at each point: the mean over the triangles that meet there, weighted by their area."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    total = np.zeros_like(points)
    for k in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(triangles[:, k], face[:, axis], len(points))
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9))


def smooth_outline(points: Points, steps: int = 5) -> Points:
    """Closed curve through the points (Catmull-Rom)."""
    before, after, after_next = np.roll(points, 1, 0), np.roll(points, -1, 0), np.roll(points, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (p[:, None, :] for p in (before, points, after, after_next))
    curve = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return np.asarray(curve.reshape(-1, 2))
