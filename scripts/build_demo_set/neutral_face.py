"""Make neutral_face.txt, the shape every avatar of the demo set starts from. Done once; the result is committed.

    python scripts/build_demo_set/neutral_face.py        # needs mediapipe==0.10.21, scikit-image, scipy

The 468 mesh points are read off the portrait that scikit-image ships (an official NASA photograph, public domain),
then made left-right symmetric, turned to face the camera, lips closed and scaled to an outer-eye distance of 1.
What is left is a shape like any other face's; colours, hair and proportions are the scenario's.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

OUTER_EYES = (33, 263)
LIP_PAIRS = ((191, 95), (80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318), (415, 324))
HEADER = """Neutral face of the demo set: 468 points of mediapipe's face mesh, one a line: x right, y down, z away.
Unit: outer-eye distance. Origin: middle between the outer eye corners. Left-right symmetric, lips closed.
Made by neutral_face.py from the astronaut portrait in scikit-image (NASA, public domain); a shape only."""


def portrait_points() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mesh points of the portrait and of its mirror image (un-mirrored again), each (468, 3) in pixels."""
    import mediapipe as mp
    from skimage.data import astronaut

    image = np.ascontiguousarray(astronaut()[:300, 80:380])
    found = []
    with mp.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as mesh:
        for picture in (image, np.ascontiguousarray(image[:, ::-1])):
            marks = mesh.process(picture).multi_face_landmarks[0].landmark[:468]
            found.append(np.array([[m.x, m.y, m.z] for m in marks]) * image.shape[1])
    found[1][:, 0] = image.shape[1] - found[1][:, 0]
    return found[0], found[1]


def mirror_partner(points: NDArray[np.float64], mirrored: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of each point's partner on the other half of the face."""
    from scipy.optimize import linear_sum_assignment

    distance = np.linalg.norm(points[:, None, :2] - mirrored[None, :, :2], axis=2)
    return np.asarray(linear_sum_assignment(distance)[1], dtype=np.int64)


def align(moving: NDArray[np.float64], fixed: NDArray[np.float64]) -> NDArray[np.float64]:
    """`moving`, rotated and shifted onto `fixed` (Kabsch)."""
    a, b = moving - moving.mean(0), fixed - fixed.mean(0)
    u, _, vt = np.linalg.svd(a.T @ b)
    u[:, 2] *= np.sign(np.linalg.det(u @ vt))
    return np.asarray(a @ u @ vt + fixed.mean(0))


def neutral_face() -> NDArray[np.float64]:
    """The neutral shape, (468, 3), in outer-eye distances."""
    points, mirrored = portrait_points()
    partner = mirror_partner(points, mirrored)
    assert (partner[partner] == np.arange(468)).all(), "mirror partners must come in pairs"
    twin = points[partner] * [-1.0, 1.0, 1.0]
    shape = (points + align(twin, points)) / 2
    # The symmetric shape's own right-left axis becomes x, forehead to chin becomes y.
    right = (shape - shape[partner]).T @ np.sign((points - points[partner])[:, 0])
    right /= np.linalg.norm(right)
    down = shape[152] - shape[10]
    down -= right * (down @ right)
    down /= np.linalg.norm(down)
    shape = (shape - shape[list(OUTER_EYES)].mean(0)) @ np.array([right, down, np.cross(right, down)]).T
    shape = (shape + shape[partner] * [-1.0, 1.0, 1.0]) / 2
    for upper, lower in LIP_PAIRS:
        shape[[upper, lower], 1] = shape[[upper, lower], 1].mean()
    return np.asarray(shape / np.linalg.norm(shape[OUTER_EYES[0]] - shape[OUTER_EYES[1]]))


if __name__ == "__main__":
    np.savetxt(Path(__file__).with_name("neutral_face.txt"), neutral_face(), fmt="%.4f", header=HEADER)
