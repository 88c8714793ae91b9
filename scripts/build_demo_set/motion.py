"""Turn a spoken performance into a face that moves: one Expression per frame, and the events that can be seen."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from looks import Expression
from numpy.typing import NDArray
from speech import RATE_HZ, Event, Performance

FPS = 24
Track = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Move:
    """How a stage direction looks: which track it moves, how far, how fast it comes and goes."""

    code: str
    track: str
    size: float
    rise_s: float  # time from nothing to everything; half of it before the event's start
    beats_hz: float = 0.0  # to and fro, for shaking and nodding


MOVES = {
    "look_away": Move("body.look_away", "yaw", 27.0, 0.26),
    "tilt": Move("body.tilt", "roll", 17.0, 0.3),
    "shake": Move("body.shake", "yaw", 11.0, 0.2, beats_hz=2.0),
    "nod": Move("body.nod", "pitch", 9.0, 0.2, beats_hz=2.0),
    "smile": Move("face.smile", "smile", 1.0, 0.24),
    "brows": Move("face.eyebrow", "brows", 1.0, 0.16),
    "close": Move("face.close_2", "lids", 1.0, 0.14),
    "gaze": Move("face.gaze", "gaze_x", 0.08, 0.1),
    "hang": Move("face.hanging", "mouth", 0.15, 0.16),
}
BLINK_S = 0.2
BLINK_EVERY_S = (1.8, 3.4)
BLINK_CLEARANCE_S = 0.35  # blinks keep away from events in which the lids could not be measured well
MOUTH_SPEECH = 0.11  # opening at the loudest syllables, outer-eye distances


def envelope(t_s: Track, start_s: float, stop_s: float, rise_s: float) -> Track:
    """0 to 1 and back; exactly one half at start and at stop."""

    def step(x: Track) -> Track:
        x = np.clip(x / rise_s + 0.5, 0, 1)
        return np.asarray(x * x * (3 - 2 * x))

    return step(t_s - start_s) * step(stop_s - t_s)


def wander(t_s: Track, rng: np.random.Generator, size: float) -> Track:
    """Slow drift, all of it below half a swing a second."""
    waves = [
        np.sin(2 * np.pi * (hz * t_s + rng.random())) * rng.uniform(0.5, 1) for hz in rng.uniform(0.07, 0.38, size=3)
    ]
    return np.asarray(size * sum(waves) / 2)


def loudness(sound: Track, n_frames: int) -> Track:
    """0..1 per frame: root mean square over the frame, against the loudest frames."""
    edges = (np.arange(n_frames + 1) * RATE_HZ / FPS).astype(int)
    rms = np.array([np.sqrt(np.mean(sound[a:b] ** 2)) for a, b in pairwise(edges)])
    rms = np.asarray(rms / max(float(np.percentile(rms, 92)), 1e-9))
    return np.clip(rms, 0, 1) ** 0.8


def planted_moves(performance: Performance) -> list[tuple[Event, Move]]:
    """The visible events, from the stage directions."""
    moves = []
    for start_s, verb, arguments in performance.directions:
        if verb not in MOVES:
            continue
        move, side = MOVES[verb], arguments[1] if len(arguments) > 1 else None
        moves.append((Event(move.code, start_s, start_s + float(arguments[0]), side), move))
    heads = sorted((e for e, m in moves if m.track in {"yaw", "pitch", "roll"}), key=lambda e: e.start_s)
    for one, following in pairwise(heads):
        if following.start_s < one.stop_s + 0.3:
            raise ValueError(f"{one.code} ({one.stop_s:.2f} s) runs into {following.code} ({following.start_s:.2f} s).")
    return moves


def blinks(moves: list[tuple[Event, Move]], length_s: float, rng: np.random.Generator) -> list[Event]:
    """Blinks at natural distances, away from turned heads, closed eyes and turned gaze."""
    busy = [e for e, m in moves if m.track in {"lids", "yaw", "gaze_x", "pitch"}]
    found, at_s = [], float(rng.uniform(0.5, 1.4))
    while at_s < length_s - 0.5:
        clash = [
            e for e in busy if e.start_s - BLINK_CLEARANCE_S < at_s + BLINK_S and at_s < e.stop_s + BLINK_CLEARANCE_S
        ]
        if clash:
            at_s = max(e.stop_s for e in clash) + BLINK_CLEARANCE_S + 0.02
            continue
        found.append(Event("face.blink", at_s, at_s + BLINK_S))
        at_s += float(rng.uniform(*BLINK_EVERY_S))
    return found


def animate(performance: Performance, n_frames: int, rng: np.random.Generator) -> tuple[list[Expression], list[Event]]:
    """Expressions of all frames, and the events planted in the picture."""
    t_s = np.arange(n_frames) / FPS
    tracks = {name: np.zeros(n_frames) for name in Expression.__dataclass_fields__}
    for name, size in (("yaw", 1.8), ("pitch", 1.2), ("roll", 1.2), ("sway_x", 0.03), ("sway_y", 0.02)):
        tracks[name] += wander(t_s, rng, size)
    tracks["gaze_x"] += wander(t_s, rng, 0.008)
    tracks["gaze_y"] += wander(t_s, rng, 0.004)
    voice = loudness(performance.sound, n_frames)
    tracks["mouth"] += MOUTH_SPEECH * voice
    tracks["brows"] += 0.08 * np.convolve(voice, np.hanning(14) / np.hanning(14).sum(), mode="same")
    moves = planted_moves(performance)
    for event, move in moves:
        shape = envelope(t_s, event.start_s, event.stop_s, move.rise_s) * move.size
        if move.beats_hz:
            shape *= np.sin(2 * np.pi * move.beats_hz * (t_s - event.start_s))
        tracks[move.track] += -shape if event.side == "left" else shape
        if move.code == "body.look_away":  # the eyes go along
            tracks["gaze_x"] += np.sign(shape.sum()) * (-1 if event.side == "left" else 1) * 0.03 * shape / move.size
    eyelids = blinks(moves, n_frames / FPS, rng)
    for blink in eyelids:
        tracks["lids"] = np.maximum(tracks["lids"], envelope(t_s, blink.start_s, blink.stop_s, 0.08))
    frames = [replace(Expression(), **{k: float(v[i]) for k, v in tracks.items()}) for i in range(n_frames)]
    return frames, [event for event, _ in moves] + eyelids
