"""The first tables: calls, loads, samples, whose journals are carried over and how far, and what could not be."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _create_calls()
    _create_loads_and_samples()
    op.create_table(
        "gateways",
        sa.Column("gateway_id", sa.Text, primary_key=True),
        sa.Column("state_dir", sa.Text, nullable=False),
    )
    op.create_table(
        "journal_checkpoint",
        sa.Column("gateway_id", sa.Text, primary_key=True),
        sa.Column("segment", sa.Text, primary_key=True),
        sa.Column("offset", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "poisoned",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("gateway_id", sa.Text, nullable=False),
        sa.Column("segment", sa.Text, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
    )


def _create_calls() -> None:
    op.create_table("calls", *_identity(), *_course(), *_result(), _ended_means_outcome("calls"))
    op.create_index("calls_received_at", "calls", ["received_at"])
    op.create_index("calls_model", "calls", ["model", "received_at"])
    op.create_index("calls_key", "calls", ["key", "received_at"])
    is_open = sa.text("outcome IS NULL")
    op.create_index("calls_open", "calls", ["gateway_id"], sqlite_where=is_open, postgresql_where=is_open)


def _create_loads_and_samples() -> None:
    op.create_table("loads", *_load(), _ended_means_outcome("loads"))
    op.create_index("loads_started_at", "loads", ["started_at"])
    op.create_index("loads_model", "loads", ["model", "started_at"])
    op.create_table("samples", *_sample())
    op.create_index("samples_sampled_at", "samples", ["sampled_at"])


def _ended_means_outcome(table: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(
        "(outcome IS NOT NULL AND outcome <> 'interrupted') = (done_s IS NOT NULL)",
        name=f"{table}_ended_means_outcome",
    )


def _identity() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("gateway_id", sa.Text, nullable=False),
        sa.Column("boot_id", sa.Text, nullable=False),
        sa.Column("gateway_version", sa.Text, nullable=False),
        sa.Column("received_at", sa.Double, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("dialect", sa.Text, nullable=False),
        sa.Column("client_address", sa.Text, nullable=True),
        sa.Column("client_request_id", sa.Text, nullable=True),
        sa.Column("key", sa.Text, nullable=True),
        sa.Column("key_fingerprint", sa.Text, nullable=True),
        sa.Column("workload", sa.Text, nullable=True),
        sa.Column("session", sa.Text, nullable=True),
        sa.Column("retry_count", sa.BigInteger, nullable=True),
        sa.Column("retry_of", sa.Text, nullable=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("model_requested", sa.Text, nullable=True),
        sa.Column("model", sa.Text, nullable=True),
        sa.Column("engine", sa.Text, nullable=True),
        sa.Column("streamed", sa.Boolean, nullable=True),
        sa.Column("priority_asked", sa.Text, nullable=True),
        sa.Column("priority", sa.Text, nullable=True),
        sa.Column("pool", sa.Text, nullable=True),
        sa.Column("cost", sa.Double, nullable=True),
        sa.Column("prompt_tokens_estimated", sa.BigInteger, nullable=True),
    ]


def _course() -> list[sa.Column[object]]:
    return [
        sa.Column("enqueued_s", sa.Double, nullable=True),
        sa.Column("admitted_s", sa.Double, nullable=True),
        sa.Column("engine_ready_s", sa.Double, nullable=True),
        sa.Column("sent_s", sa.Double, nullable=True),
        sa.Column("first_byte_s", sa.Double, nullable=True),
        sa.Column("first_token_s", sa.Double, nullable=True),
        sa.Column("done_s", sa.Double, nullable=True),
        sa.Column("position_at_entry", sa.BigInteger, nullable=True),
        sa.Column("wait_reasons", sa.Text, nullable=False),
        sa.Column("caused_load", sa.Boolean, nullable=True),
        sa.Column("waited_for_load", sa.Boolean, nullable=True),
        sa.Column("load_id", sa.Text, nullable=True),
        sa.Column("load_s", sa.Double, nullable=True),
        sa.Column("estimated_wait_s", sa.Double, nullable=True),
    ]


def _result() -> list[sa.Column[object]]:
    return [
        sa.Column("outcome", sa.Text, nullable=True),
        sa.Column("abandoned_in", sa.Text, nullable=True),
        sa.Column("http_status", sa.BigInteger, nullable=True),
        sa.Column("error_code", sa.Text, nullable=True),
        sa.Column("error_detail", sa.Text, nullable=True),
        sa.Column("response_content_type", sa.Text, nullable=True),
        sa.Column("request_bytes", sa.BigInteger, nullable=True),
        sa.Column("response_bytes", sa.BigInteger, nullable=True),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=True),
        sa.Column("cached_tokens", sa.BigInteger, nullable=True),
        sa.Column("completion_tokens", sa.BigInteger, nullable=True),
        sa.Column("reasoning_tokens", sa.BigInteger, nullable=True),
        sa.Column("drafted_tokens", sa.BigInteger, nullable=True),
        sa.Column("accepted_tokens", sa.BigInteger, nullable=True),
        sa.Column("token_source", sa.Text, nullable=True),
        sa.Column("engine_prompt_ms", sa.Double, nullable=True),
        sa.Column("engine_decode_ms", sa.Double, nullable=True),
        sa.Column("finish_reason", sa.Text, nullable=True),
        sa.Column("energy_j", sa.Double, nullable=True),
    ]


def _load() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("gateway_id", sa.Text, nullable=False),
        sa.Column("boot_id", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("engine", sa.Text, nullable=True),
        sa.Column("devices", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=True),
        sa.Column("call_id", sa.Text, nullable=True),
        sa.Column("victims", sa.Text, nullable=False),
        sa.Column("stop_s", sa.Double, nullable=True),
        sa.Column("release_s", sa.Double, nullable=True),
        sa.Column("start_s", sa.Double, nullable=True),
        sa.Column("ready_s", sa.Double, nullable=True),
        sa.Column("done_s", sa.Double, nullable=True),
        sa.Column("outcome", sa.Text, nullable=True),
        sa.Column("error_detail", sa.Text, nullable=True),
        sa.Column("calls_waiting", sa.BigInteger, nullable=True),
        sa.Column("memory_before_bytes", sa.BigInteger, nullable=True),
        sa.Column("memory_after_bytes", sa.BigInteger, nullable=True),
        sa.Column("read_bytes", sa.BigInteger, nullable=True),
    ]


def _sample() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("gateway_id", sa.Text, nullable=False),
        sa.Column("boot_id", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("sampled_at", sa.Double, nullable=False),
        sa.Column("cpu_pct", sa.Double, nullable=True),
        sa.Column("cpu_load1", sa.Double, nullable=True),
        sa.Column("cpu_load5", sa.Double, nullable=True),
        sa.Column("ram_total_bytes", sa.BigInteger, nullable=True),
        sa.Column("ram_available_bytes", sa.BigInteger, nullable=True),
        sa.Column("ram_free_bytes", sa.BigInteger, nullable=True),
        sa.Column("ram_active_bytes", sa.BigInteger, nullable=True),
        sa.Column("ram_inactive_bytes", sa.BigInteger, nullable=True),
        sa.Column("ram_wired_bytes", sa.BigInteger, nullable=True),
        sa.Column("ram_compressed_bytes", sa.BigInteger, nullable=True),
        sa.Column("swap_total_bytes", sa.BigInteger, nullable=True),
        sa.Column("swap_used_bytes", sa.BigInteger, nullable=True),
        sa.Column("gpu_pct", sa.Double, nullable=True),
        sa.Column("gpu_clock_mhz", sa.Double, nullable=True),
        sa.Column("gpu_memory_used_bytes", sa.BigInteger, nullable=True),
        sa.Column("gpu_memory_total_bytes", sa.BigInteger, nullable=True),
        sa.Column("power_w", sa.Double, nullable=True),
        sa.Column("devices", sa.Text, nullable=False),
        sa.Column("engines", sa.Text, nullable=False),
    ]
