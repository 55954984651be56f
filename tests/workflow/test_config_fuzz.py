"""Whatever is done to a config: it is valid, or one line says what is wrong with it."""

from datetime import date

from configs import SCHEMAS, shipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from absynth.errors import InputError
from absynth.workflow.plan import Plan

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**64, 10**400, -(10**400), 1e308, 5e-324, -0.0]),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["", "nul\0", "l2", "ABS", "../..", "µ∞ε", "\ud7ff", "a\nb", "{wildcard}", "\u202e", "x" * 5000]
    ),
    st.just(date(2026, 1, 1)),  # what YAML makes of 2026-01-01
    st.binary(max_size=4),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3),
    max_leaves=5,
)


def places(value, path=()):
    """Paths of all dicts and lists within a config, itself among them."""
    if isinstance(value, dict | list):
        yield path
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


@st.composite
def broken(draw) -> dict:
    """The paper's config with a few entries replaced, removed, renamed or added."""
    config = shipped("config")
    for _ in range(draw(st.integers(1, 3))):
        holder = config
        for key in draw(st.sampled_from(sorted(places(config), key=repr))):
            holder = holder[key]
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        change = draw(st.sampled_from(["replace", "remove", "rename", "add"])) if keys else "add"
        key = draw(st.sampled_from(keys)) if keys else None
        if change == "replace":
            holder[key] = draw(VALUES)
        elif change == "remove":
            del holder[key]
        elif isinstance(holder, list):
            holder.append(draw(VALUES))
        elif change == "rename":
            holder[draw(SCALARS)] = holder.pop(key)
        else:
            holder[draw(SCALARS)] = draw(VALUES)
    return config


def questions(plan: Plan) -> None:
    """Ask what rules ask."""
    for model in plan.models:
        plan.model_spec(model)
        for norm in plan.norms:
            for attack in plan.attacks_on(model, norm):
                plan.options(attack, model)
    assert plan.spans[0][0] == 0


@settings(max_examples=250, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken())
def test_a_broken_config_is_refused_in_one_line_or_valid(config):
    try:
        plan = Plan(config, SCHEMAS)
    except InputError as error:
        message = str(error)
    else:
        questions(plan)
        return
    assert message.startswith(("config", "dataset"))
    assert len(message.splitlines()) == 1
    assert len(message) <= 1000
    message.encode()
