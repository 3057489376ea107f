"""What a clip says of its work."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, repr=False)
class ClipReport:
    """How often a clip acted, and how much of the gradient it left.

    Attributes
    ----------
    steps, acted : int
        Steps seen, and those in which it changed anything.
    last_norm : float
        Norm before the last step's clipping; the largest group's, where there are several.
    last_factor : float
        What the last step's gradient was multiplied with; for several groups, the factor farthest
        from 1; for `ClipValue` the norm after clipping over the norm before.
    kept_sum : float
        Sum over the steps of the norm after clipping over the norm before, of all gradients that
        the clip looks at.
    extreme_factor : float
        Of all factors of all steps the one farthest from 1: the smallest for clips, the largest for
        `GradFloor`.
    """

    steps: int
    acted: int
    last_norm: float
    last_factor: float
    kept_sum: float
    extreme_factor: float

    @classmethod
    def of(cls, account: list[float]) -> ClipReport:
        """The report of an account as the kernels keep it."""
        steps, acted, norm, factor, kept, extreme = account
        if not steps:
            factor = extreme = 1.0
        return cls(int(steps), int(acted), norm, factor, kept, extreme)

    @property
    def fraction(self) -> float:
        """The fraction of steps in which it acted."""
        return self.acted / self.steps if self.steps else 0.0

    @property
    def mean_kept(self) -> float:
        """The mean over steps of the norm after clipping over the norm before."""
        return self.kept_sum / self.steps if self.steps else 1.0

    def since(self, earlier: ClipReport) -> ClipReport:
        """The report of the steps after an earlier one; its extreme factor is that of all steps."""
        return replace(
            self,
            steps=self.steps - earlier.steps,
            acted=self.acted - earlier.acted,
            kept_sum=self.kept_sum - earlier.kept_sum,
        )

    def __repr__(self) -> str:
        return (
            f"<ClipReport: acted in {self.acted} of {self.steps} steps ({self.fraction:.1%}), "
            f"kept {self.mean_kept:.3g} of the norm on average, extreme factor "
            f"{self.extreme_factor:.3g}; last norm {self.last_norm:.4g} x {self.last_factor:.3g}>"
        )
