"""A person's head in three dimensions: the face with its expression, skull, ears and hair."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
from looks import Expression, Look
from mesh import (
    FOLDS,
    INNER_LIPS,
    LOWER_LIDS,
    LOWER_LIP,
    OUTER_LIPS,
    UPPER_LIDS,
    Points,
    Subdivision,
    bump,
    mesh_triangles,
    outward,
)
from numpy.typing import NDArray

Part = tuple[Points, NDArray[np.int64], Points, float]  # points, triangles, colours, how much nearer it counts

HEAD_CENTRE = np.array([0.0, 0.02, 0.66])
HEAD_RADII = np.array([0.8, 1.02, 0.92])


class Head:
    """The head of one made-up person.

    Attributes:
        neutral: Points of the face mesh without expression, shape (468, 3).
        face: Cuts the mesh's triangles into smaller ones.
        face_albedo: Colour of the skin at each point of ``face``.
    """

    def __init__(self, look: Look) -> None:
        self.look = look
        self.neutral = self._personal_shape(np.loadtxt(Path(__file__).with_name("neutral_face.txt")))
        triangles = outward(self.neutral, mesh_triangles(), HEAD_CENTRE + np.array([0, 0.3, 0]))
        self.face = Subdivision(triangles, len(self.neutral))
        self.face_albedo = self.face.extend(self._skin_map())

    def _personal_shape(self, points: Points) -> Points:
        look = self.look
        p = points.copy()
        # The portrait smiles a little: narrower mouth with level corners.
        for side in (-1, 1):
            w = bump(points, (side * 0.35, 0.63), 0.16, 0.16)
            p[:, 0] -= side * 0.075 * w
            p[:, 1] += 0.065 * w
        mouth = bump(points, (0, 0.7), 0.5, 0.17)
        p[:, 1] += (look.lip_fullness - 1) * (points[:, 1] - 0.693) * mouth
        p[:, 0] *= look.face_width
        jaw = np.clip((points[:, 1] - 0.4) / 0.8, 0, 1)
        p[:, 0] *= 1 + (look.jaw - 1) * jaw
        p[:, 1] += 0.12 * (look.jaw - 1) * jaw
        nose = bump(points, (0, 0.33), 0.16, 0.2)
        p[:, 2] -= 0.12 * (look.nose - 1) * nose
        p[:, 0] *= 1 + 0.6 * (look.nose - 1) * bump(points, (0, 0.4), 0.2, 0.1)
        for side in (-1, 1):
            w = bump(points, (side * 0.35, -0.01), 0.22, 0.1)
            p[:, 1] += (look.eyes - 1) * (points[:, 1] + 0.01) * w * 1.5
            p[:, 1] -= look.brow_height * bump(points, (side * 0.33, -0.24), 0.3, 0.09)
        return p

    def _skin_map(self) -> Points:
        look, p = self.look, self.neutral
        skin = np.tile(np.array(look.skin), (len(p), 1))
        warm = sum(bump(p, (side * 0.45, 0.38), 0.22, 0.18) for side in (-1, 1)) + 0.7 * bump(p, (0, 0.38), 0.13, 0.12)
        skin *= 1 + np.outer(warm, [0.05, -0.07, -0.07])
        socket = sum(bump(p, (side * 0.33, 0.02), 0.26, 0.12) for side in (-1, 1))
        skin *= 1 - np.outer(socket, [0.10, 0.13, 0.12])
        skin *= 1 - np.outer(bump(p, (0, 0.9), 0.22, 0.05), [0.1, 0.12, 0.12])
        cheekbone = np.clip((np.abs(p[:, 0]) - 0.2) / 0.35, 0, 1) * np.clip((p[:, 1] - 0.45) / 0.3, 0, 1)
        chin = np.clip((p[:, 1] - 0.88) / 0.12, 0, 1)
        moustache = bump(p, (0, 0.53), 0.33, 0.055)
        beard = look.beard * np.clip(np.maximum(np.maximum(cheekbone, chin), moustache), 0, 1)
        return np.asarray(skin * (1 - beard[:, None]) + np.outer(beard, np.array(look.hair) * 1.1))

    @cached_property
    def parts(self) -> list[Part]:
        """Skull, ears and hair; the hair comes last."""
        look = self.look
        skin = np.array(look.skin) * [0.97, 0.95, 0.95]
        radii = HEAD_RADII * [look.face_width, 1, 1]
        parts = [self._shell(HEAD_CENTRE, radii, lambda az: np.full_like(az, 0.9), skin, strands=0)]
        if look.hair_style in {"short", "bald", "bun"}:
            for side in (-1, 1):
                ear = np.array([side * 0.79 * look.face_width, 0.22, 0.62])
                parts.append(self._shell(ear, np.array([0.09, 0.23, 0.13]), lambda az: np.full_like(az, 0.23), skin, 0))
        if look.hair_style == "bun":
            bun = np.array([0.0, -1.12, 0.85])
            parts.append(self._shell(bun, np.array([0.36, 0.3, 0.36]), lambda az: np.full_like(az, 0.3), look.hair, 9))
        if look.hair_style != "bald":
            parts.append(self._hair(radii))
        return parts

    def _hair(self, radii: Points) -> Part:
        look = self.look
        volume = {"short": 1.07, "bun": 1.05, "bob": 1.14, "long": 1.16}[look.hair_style]
        bottom = {"short": 0.75, "bun": 0.7, "bob": 1.0, "long": 1.75}[look.hair_style]
        temple = {"short": 0.12, "bun": 0.0, "bob": bottom, "long": bottom}[look.hair_style]

        def reach(azimuth: Points) -> Points:
            """How far down hair grows, below the head's centre, by the angle from the front."""
            degrees = np.abs(np.degrees(azimuth))
            front = look.hairline - HEAD_CENTRE[1]
            locks = 0.05 * np.sin(11 * azimuth + 1.3) + 0.03 * np.sin(29 * azimuth) if look.hair_style == "short" else 0
            parted = 0.06 * np.tanh(6 * (azimuth - 0.25)) if look.hair_style in {"short", "long"} else 0
            sweep = np.where(degrees < 57, parted, 0)
            corners = [0, 25, 45, 57, 68, 100, 180]
            lengths = [front, front + 0.02, front + 0.12, -0.2, temple, max(temple, 0.2), bottom]
            return locks * (degrees < 70) + sweep + np.interp(degrees, corners, lengths)

        return self._shell(
            HEAD_CENTRE,
            radii * volume * [1, 1.05, 1],
            reach,
            look.hair,
            strands=23,
            bottom_flares=look.hair_style in {"long", "bob"},
        )

    def _shell(
        self, centre: Points, radii: Points, reach: Callable[[Points], Points], colour: object, strands: int,
        *, bottom_flares: bool = False,
    ) -> Part:  # fmt: skip
        """An egg-shaped surface from its top down to `reach(azimuth)`; below the middle it hangs straight down."""
        n_around, n_down = (64, 16) if radii[0] > 0.5 else (24, 10)  # ears and buns need fewer
        azimuth, level = np.meshgrid(np.linspace(-np.pi, np.pi, n_around + 1), np.linspace(0, 1, n_down), indexing="ij")
        end = reach(azimuth)
        end_angle = np.where(end < 0, np.arccos(np.clip(-end / radii[1], -1, 1)), np.pi / 2)
        hang = np.maximum(end, 0)
        angle = end_angle * np.minimum(level * np.where(hang > 0, 1.6, 1), 1)
        drop = hang * np.clip((level - 0.625) / 0.375, 0, 1)
        if strands == 0:  # skin: a closed ellipsoid
            angle, drop = np.pi * level, 0 * drop
        ring = np.sin(angle) * (1 + (0.16 * drop * np.abs(np.sin(azimuth)) if bottom_flares else 0))
        points = np.stack([ring * np.sin(azimuth), -np.cos(angle), -ring * np.cos(azimuth)], axis=-1) * radii
        points[..., 1] += drop
        shade = 1 + (0.16 * np.sin(azimuth * strands + 3 * np.sin(2 * azimuth)) + 0.05 * np.sin(azimuth * 61)) * (
            strands > 0
        )
        index = np.arange(points[..., 0].size).reshape(points.shape[:2])
        a, b, c, d = (q.ravel() for q in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
        triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
        flat = points.reshape(-1, 3)
        colours = shade.reshape(-1, 1) * np.asarray(colour, dtype=float)
        return flat + centre, outward(flat, triangles, np.zeros(3)), colours, (-0.12 if strands else 0.06)

    def express(self, e: Expression) -> Points:
        """Points of the face mesh with an expression, shape (468, 3)."""
        p, n = self.neutral.copy(), self.neutral
        for side in (-1, 1):
            w = bump(n, (side * 0.33, -0.25 - self.look.brow_height), 0.34, 0.12)
            p[:, 1] -= 0.1 * e.brows * w
            corner = bump(n, (side * 0.28, 0.68), 0.14, 0.12)
            p[:, 0] += side * 0.11 * e.smile * corner
            p[:, 1] -= 0.09 * e.smile * corner
            p[:, 2] += 0.05 * e.smile * corner
            p[:, 1] -= 0.03 * e.smile * bump(n, (side * 0.42, 0.36), 0.2, 0.15)
        lips = list(OUTER_LIPS + INNER_LIPS)
        p[lips, 1] += 0.12 * e.smile * (0.69 - p[lips, 1])  # a smile thins the lips
        jaw = np.clip((n[:, 1] - 0.74) / 0.1, 0, 1) * np.exp(-((n[:, 0] / 0.62) ** 2))
        taper = np.clip(1 - (np.abs(n[:, 0]) / 0.31) ** 2, 0, 1)
        lower = np.isin(np.arange(len(n)), LOWER_LIP)
        jaw[lower] = taper[lower] ** 0.6
        p[:, 1] += e.mouth * jaw
        p[:, 0] -= 0.25 * e.mouth * np.sign(n[:, 0]) * sum(bump(n, (s * 0.28, 0.65), 0.1, 0.1) for s in (-1, 1))
        for upper, under, fold in zip(UPPER_LIDS, LOWER_LIDS, FOLDS, strict=True):
            lid, rim, skin = list(upper), list(under), list(fold)
            p[rim, 1] -= 0.012 * e.lids
            p[lid] += e.lids * (p[rim] - p[lid])
            p[skin, 1] += 0.02 * e.lids
        return p
