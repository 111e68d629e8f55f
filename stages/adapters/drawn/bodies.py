"""What rays meet: boxes and spheres with patterned surfaces.

Legend: P rays. Lengths in metres; the y axis is vertical.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Surface:
    """How a body or a wall looks."""

    colours: Floats
    """(2, 3) in 0..1."""
    pattern: int
    """0 plain, 1 stripes, 2 checks, 3 waves."""
    frequency: float
    """Radians a metre."""
    angle: float

    def shades(self, u_P: Floats, v_P: Floats) -> Floats:
        """P×3: the colours at places of the surface, in metres."""
        turned_P = math.cos(self.angle) * u_P + math.sin(self.angle) * v_P
        across_P = math.cos(self.angle) * v_P - math.sin(self.angle) * u_P
        a_P, b_P = np.sin(self.frequency * turned_P), np.sin(self.frequency * across_P)
        waves_P = (np.zeros_like(a_P), np.clip(4 * a_P, 0, 1), np.clip(8 * a_P * b_P, 0, 1), 0.5 + 0.5 * a_P * b_P)
        share_P1 = waves_P[self.pattern][:, None]
        return np.asarray(self.colours[0] + share_P1 * (self.colours[1] - self.colours[0]), np.float32)


@dataclass(frozen=True)
class Body:
    """A box that stands on the floor, turned, or a sphere; both about `centre`."""

    label: int
    """Its class."""
    round: bool
    """A sphere."""
    centre: Floats
    halves: Floats
    """(3,): half the sides of a box; three times a sphere's radius."""
    turn: float
    surface: Surface

    def met(self, p_P3: Floats, d_P3: Floats) -> tuple[Floats, Floats]:
        """First t > 0 at which each ray meets the body (infinite: never), and the unit normals there, P and P×3."""
        return self._sphere(p_P3, d_P3) if self.round else self._box(p_P3, d_P3)

    def _sphere(self, p_P3: Floats, d_P3: Floats) -> tuple[Floats, Floats]:
        from_P3, radius = p_P3 - self.centre, float(self.halves[0])
        a_P, b_P = (d_P3 * d_P3).sum(1), (from_P3 * d_P3).sum(1)
        inside_P = b_P * b_P - a_P * ((from_P3 * from_P3).sum(1) - radius * radius)
        t_P = (-b_P - np.sqrt(np.maximum(inside_P, 0))) / a_P
        t_P = np.where((inside_P > 0) & (t_P > 0), t_P, np.inf).astype(np.float32)
        reach_P1 = np.where(np.isfinite(t_P), t_P, 0)[:, None]
        return t_P, (from_P3 + reach_P1 * d_P3) / radius

    def _box(self, p_P3: Floats, d_P3: Floats) -> tuple[Floats, Floats]:
        turn = turned(self.turn)
        p_P3, d_P3 = (p_P3 - self.centre) @ turn, d_P3 @ turn
        d_P3 = np.where(np.abs(d_P3) < 1e-6, 1e-6, d_P3)
        enters_P3 = (-np.sign(d_P3) * self.halves - p_P3) / d_P3
        leaves_P3 = (np.sign(d_P3) * self.halves - p_P3) / d_P3
        enter_P, axis_P = enters_P3.max(1), enters_P3.argmax(1)
        hit_P = (enter_P < leaves_P3.min(1)) & (enter_P > 0)
        normals_P3 = np.zeros_like(d_P3)
        rows_P = np.arange(len(d_P3))
        normals_P3[rows_P, axis_P] = -np.sign(d_P3[rows_P, axis_P])
        return np.where(hit_P, enter_P, np.inf).astype(np.float32), normals_P3 @ turn.T


def turned(angle: float) -> Floats:
    """Rotation about the vertical axis, (3, 3)."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)
