"""What Metaflow's own client sees of the last run of the flow."""
import json

from metaflow import Flow, namespace

namespace(None)
run = Flow("SquaresFlow").latest_run
tasks = [t for t in run["square"]]
print("RESULT " + json.dumps({
    "successful": run.successful,
    "total": run.data.total,
    "attempts": run["join"].task.data.attempts,
    "logs": sorted(t.stdout.strip() for t in tasks),
    "metadata": [t.metadata_dict for t in tasks],
}))
