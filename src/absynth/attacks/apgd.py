"""Auto-PGD, gradient ascent within ε whose step size follows its progress, at the smallest ε that succeeds."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from absynth.attacks.api import for_norm
from absynth.attacks.epsilon_search import Attempt, first_success, search_epsilon
from absynth.attacks.gradient import steepest
from absynth.attacks.line_search import bisect_to_clean
from absynth.attacks.linearised import Loss, ask_linearised, likeliest_rivals, representable
from absynth.attacks.margins import margin
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target

_CLEAN_MARGIN = 10.0  # of each clean image's logits, to which the cross entropy scales them
_MOMENTUM = 0.75  # α of algorithm 1: the share of the gradient step, the rest is the step before
_RISING = 0.75  # ρ: the share of steps that must raise the loss for the step size to stay
_SHARES = (0.22, 0.03, 0.06)  # of the steps: to the first checkpoint, less at each later one, at least
_State = dict[str, Tensor]


@dataclass(frozen=True)
class AutoPGD:
    """Cross entropy and targeted DLR within ε, searched over ε; options as in `apgd`."""

    steps: int
    targets: int
    restarts: int
    doublings: int
    bisections: int
    refine_steps: int

    def __call__(self, target: Target, random: SampleRandom) -> None:
        attempts = self.attempts(target, random)
        search_epsilon(
            target,
            lambda target, epsilon: first_success(target, attempts, epsilon),
            doublings=self.doublings,
            bisections=self.bisections,
        )
        bisect_to_clean(target, self.refine_steps)

    def attempts(self, target: Target, random: SampleRandom, *, entropy: bool = True) -> list[Attempt]:
        """A run for each loss and restart: on the cross entropy, unless it is left out, then on the targeted DLR."""
        logits, rivals = likeliest_rivals(target, self.targets)  # of the clean images, (n, C), (targets, n)
        losses: list[Callable[[Tensor], Loss]] = (
            [partial(_scaled_entropy, logits, target.y)] if entropy else []
        )
        losses += [partial(_targeted_dlr, rival) for rival in rivals]
        return [
            partial(self._attempt, loss=loss, random=random, again=restart > 0)
            for restart in range(self.restarts)
            for loss in losses
        ]

    def _attempt(
        self,
        target: Target,
        epsilon: Tensor,
        *,
        loss: Callable[[Tensor], Loss],
        random: SampleRandom,
        again: bool,
    ) -> None:
        """One run within ε (m,), from the best adversarial drawn into the ball; from a random point where there is
        none, or `again`."""
        x = target.active[0].flatten(1).double()
        ball = _Ball(x, epsilon, target.norm)
        known = target.best[target.rows].flatten(1).double()
        drawn = x + epsilon[:, None] * ball.unit(random.normal(target.rows, x.shape[1]).double())
        started = target.best_distance[target.rows].isfinite() & (not again)
        _ascend(target, ball, torch.where(started[:, None], known, drawn), loss, self.steps)


@dataclass(frozen=True)
class _Ball:
    """The points of the box within ε (m,) of clean images x (m, d), in a norm."""

    x: Tensor
    epsilon: Tensor
    norm: str

    def only(self, chosen: Tensor) -> "_Ball":
        return _Ball(self.x[chosen], self.epsilon[chosen], self.norm)

    def unit(self, direction: Tensor) -> Tensor:
        """The direction (m, d) scaled to length 1."""
        order = 2.0 if self.norm == "l2" else torch.inf
        return direction / direction.norm(p=order, dim=1, keepdim=True).clamp_min(1e-12)

    def project(self, point: Tensor) -> Tensor:
        """A point (m, d) drawn into the ball (in linf the nearest of the ball), then into the box."""
        delta, epsilon = point - self.x, self.epsilon[:, None]
        if self.norm == "linf":
            return (self.x + delta.clamp(-epsilon, epsilon)).clamp(0, 1)
        length = delta.norm(dim=1, keepdim=True).clamp_min(1e-12)
        return (self.x + delta * (epsilon / length).clamp_max(1)).clamp(0, 1)


def _ascend(target: Target, ball: _Ball, start: Tensor, loss: Callable[[Tensor], Loss], steps: int) -> None:
    """Algorithm 1 of Croce & Hein (2020). An image leaves as soon as it improves on its best adversarial."""
    first, less, least = (max(1, int(share * steps)) for share in _SHARES)
    goal = target.best_distance[target.rows]  # a copy, (m,)
    state = _begin(target, ball, representable(ball.project(start), target), loss)
    rows, interval, since = target.rows, first, 0
    for step in range(steps):
        waiting = (target.best_distance[rows] >= goal).nonzero().squeeze(1)
        if not len(waiting):
            return
        rows, goal, ball = rows[waiting], goal[waiting], ball.only(waiting)
        state = {name: values[waiting] for name, values in state.items()}
        with target.only((target.rows[:, None] == rows).any(dim=1)):
            _step(target, ball, state, loss(rows), inertia=step > 0)
        since += 1
        if since == interval:
            _check(state, interval)
            interval, since = max(interval - less, least), 0


def _begin(target: Target, ball: _Ball, point: Tensor, loss: Callable[[Tensor], Loss]) -> _State:
    value, gradient = ask_linearised(target, point, loss(target.rows))
    return {
        "point": point, "before": point, "value": value, "gradient": gradient,
        "best": point, "best_value": value, "best_gradient": gradient,
        "size": 2 * ball.epsilon,  # of a step, (m,)
        "rises": torch.zeros_like(value),  # steps since the last checkpoint that raised the loss
        "checked_value": value,  # the best at the last checkpoint
        "halved": torch.ones_like(value, dtype=torch.bool),  # at the last checkpoint
    }  # fmt: skip


def _step(target: Target, ball: _Ball, state: _State, loss: Loss, *, inertia: bool) -> None:
    """One step with momentum, to what `ball` allows; the state's rows are the active images."""
    point, before = state["point"], state["before"]
    direction = steepest(state["gradient"], ball.norm)
    moved = ball.project(point + state["size"][:, None] * direction)
    if inertia:
        moved = ball.project(point + _MOMENTUM * (moved - point) + (1 - _MOMENTUM) * (point - before))
    moved = representable(moved, target)
    value, gradient = ask_linearised(target, moved, loss)
    state["rises"] = state["rises"] + (value > state["value"])
    state |= {"before": point, "point": moved, "value": value, "gradient": gradient}
    better = value > state["best_value"]
    state["best_value"] = torch.where(better, value, state["best_value"])
    state["best"] = torch.where(better[:, None], moved, state["best"])
    state["best_gradient"] = torch.where(better[:, None], gradient, state["best_gradient"])


def _check(state: _State, interval: int) -> None:
    """At a checkpoint halve the step size, and go back to the best point, where the loss no longer rises."""
    stuck = ~state["halved"] & (state["checked_value"] >= state["best_value"])
    halve = (state["rises"] <= _RISING * interval) | stuck
    state["size"] = torch.where(halve, state["size"] / 2, state["size"])
    for name in ("point", "gradient"):
        best = state["best" if name == "point" else "best_gradient"]
        state[name] = torch.where(halve[:, None], best, state[name])
    state |= {
        "halved": halve,
        "checked_value": state["best_value"],
        "rises": torch.zeros_like(state["rises"]),
    }


def _scaled_entropy(clean: Tensor, y: Tensor, rows: Tensor) -> Loss:
    """The log-odds against the label, of logits scaled to a clean margin of _CLEAN_MARGIN.

    It rises with the cross entropy, in the same direction, but does not vanish where the model is sure.
    """
    scale = _CLEAN_MARGIN / margin(clean[rows], y[rows]).abs().clamp_min(1e-12)

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        scaled = scale[:, None].to(logits.dtype) * logits
        rivals = scaled.scatter(1, y[:, None], -torch.inf)
        return rivals.logsumexp(dim=1) - scaled.gather(1, y[:, None]).squeeze(1)

    return loss


def _targeted_dlr(rival: Tensor, rows: Tensor) -> Loss:
    """Targeted difference of logits ratio, equation 7 of Croce & Hein (2020), towards classes `rival` (n,).

    With three classes the lowest logit stands for the fourth. With two the ratio would be 1 or -1, whatever the
    logits: the difference alone is taken.
    """

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        ordered = logits.sort(dim=1, descending=True).values
        third, fourth = (ordered[:, min(place, logits.shape[1] - 1)] for place in (2, 3))
        gap = (logits.gather(1, rival[rows][:, None]) - logits.gather(1, y[:, None])).squeeze(1)
        if logits.shape[1] == 2:
            return gap
        return gap / (ordered[:, 0] - (third + fourth) / 2).clamp_min(1e-12)

    return loss


def apgd(
    norm: str,
    *,
    steps: int = 50,
    targets: int = 1,
    restarts: int = 1,
    doublings: int = 5,
    bisections: int = 6,
    refine_steps: int = 10,
) -> AutoPGD:
    """Auto-PGD with the cross entropy, then the targeted DLR loss, l2 or linf (Croce & Hein 2020).

    The first run at each ε starts from the best adversarial so far, drawn into the ball; where there is none, and in
    all further restarts, from a random point.

    steps: gradients of one run, besides that of its start; an image ends with its first success
    targets: the likeliest rivals of the clean image, each with a run of the targeted loss where those before failed;
        0 leaves the cross entropy alone
    restarts: runs for each loss
    doublings, bisections: of the search over ε (`search_epsilon`); up to restarts · (1 + targets) runs each
    refine_steps: queries of a final bisection to the clean image
    """
    for_norm(norm, l2=None, linf=None)
    return AutoPGD(steps, targets, restarts, doublings, bisections, refine_steps)
