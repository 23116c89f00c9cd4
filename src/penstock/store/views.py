"""Three views with exactly the columns of Overlaat's tables, so that queries and panels made for those keep working.

They speak its words: moments instead of spans after `received_at`, its names for two outcomes, one reason for a wait
(that which took longest), GiB. What it does not know (`interrupted`, `deadline`, …) keeps our name. A call that still
runs is not in `request_events`, where only what has ended is; one that was interrupted has no `t_done`.
"""

from __future__ import annotations

from collections.abc import Mapping

SQLITE, POSTGRESQL = "sqlite", "postgresql"

_REQUEST_EVENTS = """
SELECT
    id,
    received_at + coalesce(enqueued_s, 0.0) AS t_enqueue,
    received_at + admitted_s AS t_acquire,
    received_at + first_token_s AS t_first_token,
    received_at + done_s AS t_done,
    model_requested,
    coalesce(key_fingerprint, 'none') AS key_fp,
    coalesce(streamed, {false}) AS streamed,
    CASE outcome
        WHEN 'rejected_too_large' THEN 'rejected_oversized'
        WHEN 'rejected_breaker' THEN 'rejected_unhealthy'
        WHEN 'upstream_refused' THEN 'upstream_error'
        ELSE outcome
    END AS outcome,
    http_status,
    prompt_tokens,
    completion_tokens,
    gateway_version AS overlaat_version,
    CASE priority WHEN 'high' THEN 1 WHEN 'normal' THEN 0 WHEN 'low' THEN -1 END AS priority,
    cost,
    coalesce({longest_wait}, CASE WHEN enqueued_s IS NOT NULL THEN 'none' END) AS wait_reason,
    pool,
    workload,
    cached_tokens
FROM calls
WHERE outcome IS NOT NULL AND model_requested IS NOT NULL
"""

_HOST_SAMPLES = """
SELECT
    sampled_at AS ts,
    gpu_pct,
    gpu_clock_mhz AS gpu_freq_mhz,
    ram_total_bytes / 1073741824.0 AS ram_total_gb,
    ram_wired_bytes / 1073741824.0 AS ram_wired_gb,
    ram_active_bytes / 1073741824.0 AS ram_active_gb,
    ram_inactive_bytes / 1073741824.0 AS ram_inactive_gb,
    ram_compressed_bytes / 1073741824.0 AS ram_compressed_gb,
    ram_free_bytes / 1073741824.0 AS ram_free_gb,
    cpu_load1,
    cpu_load5,
    {backends} AS backends_json
FROM samples
"""

_MODEL_LOADS = """
SELECT
    id,
    model,
    started_at AS t_start,
    CASE outcome WHEN 'ready' THEN started_at + done_s END AS t_ready,
    CASE outcome WHEN 'ready' THEN done_s END AS load_s,
    CASE
        WHEN outcome = 'ready' THEN 'starting->ready'
        WHEN outcome IS NULL THEN 'starting'
        ELSE 'starting->' || outcome
    END AS detail
FROM loads
"""

_IN_SQLITE = {
    "false": "0",
    "longest_wait": "(SELECT key FROM json_each(wait_reasons) ORDER BY value DESC, key LIMIT 1)",
    "backends": """(
        SELECT json_group_array(json_object(
            'pid', json_extract(value, '$.pid'), 'name', json_extract(value, '$.engine'),
            'cpu_pct', json_extract(value, '$.cpu_pct'),
            'rss_gb', round(json_extract(value, '$.resident_bytes') / 1073741824.0, 2),
            'footprint_gb', round(json_extract(value, '$.footprint_bytes') / 1073741824.0, 2),
            'gpu_pct', json_extract(value, '$.gpu_use_pct')
        )) FROM json_each(engines)
    )""",
}
_IN_POSTGRESQL = {
    "false": "false",
    "longest_wait": (
        "(SELECT key FROM json_each_text(wait_reasons::json) ORDER BY value::double precision DESC, key LIMIT 1)"
    ),
    "backends": """(
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'pid', value -> 'pid', 'name', value -> 'engine', 'cpu_pct', value -> 'cpu_pct',
            'rss_gb', round((value ->> 'resident_bytes')::numeric / 1073741824, 2),
            'footprint_gb', round((value ->> 'footprint_bytes')::numeric / 1073741824, 2),
            'gpu_pct', value -> 'gpu_use_pct'
        )), '[]'::jsonb) FROM jsonb_array_elements(engines::jsonb)
    )""",
}
_SELECTS = {"request_events": _REQUEST_EVENTS, "host_samples": _HOST_SAMPLES, "model_loads": _MODEL_LOADS}


def views(dialect: str) -> Mapping[str, str]:
    """The statement that creates each view, by its name; `dialect` is SQLITE or POSTGRESQL."""
    words = _IN_SQLITE if dialect == SQLITE else _IN_POSTGRESQL
    return {name: f"CREATE VIEW {name} AS{select.format_map(words).rstrip()}" for name, select in _SELECTS.items()}
