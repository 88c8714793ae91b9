"""Signals of the body are those of the person whose face is followed."""

import numpy as np
import pytest

from bah_mllm.cues import body


def test_shoulders_of_somebody_else_than_the_face_are_unknown():
    t_s = np.arange(8) / 4
    pose = np.ones((8, 33, 4)) * 0.5
    pose[:, 11, 0], pose[:, 12, 0] = 0.7, 0.3
    pose[4:, :, 0] += 0.6  # from now on the person beside
    hands, nose, span = np.full((8, 2, 21, 3), np.nan), np.full((8, 2), 0.5), np.full(8, 0.1)
    width = body.body_tracks(t_s, pose, hands, nose, span)["shoulder_width"].values
    assert width[:4] == pytest.approx(0.4)
    assert np.isnan(width[4:]).all()
    no_face = body.body_tracks(t_s, pose, hands, nose * np.nan, span * np.nan)["shoulder_width"].values
    assert no_face == pytest.approx(0.4)
