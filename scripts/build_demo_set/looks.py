"""What a made-up person looks like, and what changes from frame to frame."""

from dataclasses import dataclass

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Look:
    """What stays the same about one person: see scenario.toml."""

    skin: Colour
    hair: Colour
    hair_style: str  # short, long, bob, bun or bald
    shirt: Colour
    wall: Colour
    iris: Colour = (0.35, 0.22, 0.12)
    lips: Colour = (0.68, 0.32, 0.3)
    light: tuple[float, float, float] = (-0.5, -0.6, -1.0)  # where the light comes from
    face_width: float = 1.0
    jaw: float = 1.0
    nose: float = 1.0
    eyes: float = 1.0
    lip_fullness: float = 1.0
    brow_height: float = 0.0
    brow_thickness: float = 1.0
    hairline: float = -0.5
    beard: float = 0.0
    glasses: bool = False
    eye_span_px: float = 86.0  # outer-eye distance in the final picture: sets the size of the face
    centre: tuple[float, float] = (0.5, 0.43)  # where the eyes are, as shares of width and height
    scene: str = "shelf"  # shelf, window, door or plain


@dataclass(frozen=True, slots=True)
class Expression:
    """What changes from frame to frame. Neutral: everything 0."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    lids: float = 0.0  # 0 open, 1 closed
    brows: float = 0.0  # 1 clearly raised
    smile: float = 0.0  # 1 clear smile
    mouth: float = 0.0  # opening between the lips, outer-eye distances
    gaze_x: float = 0.0  # shift of the iris, outer-eye distances
    gaze_y: float = 0.0
    sway_x: float = 0.0  # shift of head and shoulders
    sway_y: float = 0.0
