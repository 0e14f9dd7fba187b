"""A batch object of each provider whose dialect maps its fields."""

ANTHROPIC = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "in_progress",
    "request_counts": {"processing": 4, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
    "created_at": "2026-01-01T00:00:00.250396Z",
    "expires_at": "2026-01-02T00:00:00.250396Z",
    "ended_at": None,
    "cancel_initiated_at": None,
    "results_url": None,
}
ENDED = ANTHROPIC | {
    "processing_status": "ended",
    "request_counts": {"processing": 0, "succeeded": 2, "errored": 1, "canceled": 1, "expired": 0},
    "cancel_initiated_at": "2026-01-01T00:01:00Z",
    "ended_at": "2026-01-01T00:02:00Z",
    "results_url": "https://api.example/results",
}
GEMINI = {
    "name": "batches/1",
    "metadata": {
        "@type": "GenerateContentBatch",
        "name": "batches/1",
        "model": "models/gemini-2.5-flash",
        "createTime": "2026-01-01T00:00:00.004734302Z",
        "endTime": "2026-01-01T00:02:00.548158795Z",
        "updateTime": "2026-01-01T00:02:00.548158754Z",
        "batchStats": {"requestCount": "3", "successfulRequestCount": "3"},
        "inputConfig": {"requests": ["SECRET"]},
        "output": {"inlinedResponses": {"inlinedResponses": ["SECRET"]}},
        "state": "BATCH_STATE_SUCCEEDED",
    },
    "done": True,
    "response": {"inlinedResponses": ["SECRET"]},
}
BEDROCK = {
    "jobArn": "arn:aws:bedrock:us-east-1:1:model-invocation-job/1",
    "modelId": "amazon.nova",
    "status": "Expired",
    "submitTime": "2026-01-01T00:00:00.583Z",
    "endTime": "2026-01-01T00:03:46.699Z",
    "lastModifiedTime": "2026-01-02T00:00:24.859Z",
}
MISTRAL = {
    "id": "5befe8c6",
    "object": "batch",
    "status": "RUNNING",
    "created_at": 1732400351,
    "started_at": 1732400351,
    "completed_at": None,
    "total_requests": 100,
    "succeeded_requests": 7,
    "failed_requests": 1,
    "errors": [{"message": "bad", "count": 2}],
    "output_file": None,
    "error_file": None,
    "metadata": {"job": "x"},
    "outputs": [{"SECRET": 1}],
}
FIREWORKS = {
    "name": "accounts/a/batchInferenceJobs/1",
    "state": "JOB_STATE_COMPLETED",
    "createTime": "2026-01-01T00:00:00Z",
    "expireTime": "2026-01-02T00:00:00Z",
    "inputDatasetId": "datasets/in",
    "lifecycle": {"runStartTime": "2026-01-01T00:01:00Z", "endTime": "2026-01-01T00:05:00Z", "validatedTime": None},
    "jobProgress": {"totalInputRequests": 1, "successfullyProcessedRequests": 3, "failedRequests": 0},
    "status": {"code": "OK", "message": ""},
}
TOGETHER = {
    "id": "together-1",
    "status": "FAILED",
    "created_at": "2026-01-01T00:00:00Z",
    "completed_at": "2026-01-01T00:05:00Z",
    "job_deadline": "2026-01-02T00:00:00Z",
    "model_id": "m",
    "progress": 40,
    "error": "broken",
}
VERTEX = {
    "name": "projects/1/locations/x/batchPredictionJobs/1",
    "state": "JOB_STATE_UPDATING",
    "createTime": "2026-01-01T00:00:00Z",
    "startTime": "2026-01-01T00:01:00Z",
    "inputConfig": {},
    "completionStats": {"successfulCount": "5", "incompleteCount": "-1"},
}
OBJECTS = {
    "anthropic": ENDED, "gemini": GEMINI, "bedrock": BEDROCK, "mistral": MISTRAL, "fireworks": FIREWORKS,
    "together": TOGETHER, "vertex": VERTEX,
}  # fmt: skip
