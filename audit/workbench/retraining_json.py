"""A comparison's report as plain JSON values, for the terminal and for other programs."""

from typing import Any

from audit.records.decision import to_iso
from audit.workbench.retraining_report import ArmFigures, Difference, Report


def as_json(found: Report) -> dict[str, Any]:
    """Return a report as plain JSON values, accuracies in parts of one."""
    comparison = found.comparison
    settings = comparison.settings
    return {
        "id": comparison.id,
        "dataset": comparison.dataset_id,
        "label_version": comparison.label_version,
        "created_at": to_iso(comparison.created_at),
        "top": settings.top,
        "method": settings.method,
        "test": settings.test,
        "test_labels": str(settings.test_labels),
        "n_tested": found.n_tested,
        "n_shared": None if found.shared is None else len(found.shared.sample),
        "seeds": list(settings.seeds),
        "config": settings.config.known(),
        "trainings": {"all": found.n_trainings, "done": found.n_done},
        "is_complete": found.is_complete,
        "events_since": found.n_events_since,
        "arms": [_arm_json(one, found) for one in found.arms],
        "differences": [_difference_json(one) for one in found.differences],
        "verdict": list(found.verdict),
        "remarks": list(found.remarks),
    }


def _arm_json(one: ArmFigures, found: Report) -> dict[str, Any]:
    against = found.difference(one.arm)
    return {
        "arm": str(one.arm),
        "accuracy": None if one.accuracy is None else one.accuracy.value,
        "interval": None if one.accuracy is None else [one.accuracy.low, one.accuracy.high],
        "seeds": list(one.seeds),
        "difference": None if against is None else against.estimate.value,
        "difference_interval": None
        if against is None
        else [against.estimate.low, against.estimate.high],
        "finding": None if against is None else str(against.finding),
        "n_rows": one.n_rows,
        "n_relabelled": one.n_relabelled,
        "n_left_out": one.n_left_out,
        "seconds": round(one.seconds, 3),
        "course": [
            {"epoch": epoch, "accuracy": mean, "least": least, "most": most}
            for epoch, mean, least, most in one.course
        ],
        "classes": [
            {
                "class": by.name,
                "n_tested": by.n_tested,
                "accuracy": by.accuracy.value,
                "interval": [by.accuracy.low, by.accuracy.high],
                "difference": None if by.difference is None else by.difference.estimate.value,
                "finding": None if by.difference is None else str(by.difference.finding),
            }
            for by in one.classes
        ],
        "emptied_classes": list(one.emptied),
        "failed": {str(seed): why for seed, why in one.failed.items()},
        "messages": list(one.messages),
    }


def _difference_json(one: Difference) -> dict[str, Any]:
    return {
        "arm": str(one.arm),
        "base": str(one.base),
        "difference": one.estimate.value,
        "interval": [one.estimate.low, one.estimate.high],
        "finding": str(one.finding),
    }
