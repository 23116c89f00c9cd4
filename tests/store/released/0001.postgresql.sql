CREATE TABLE calls (
	id TEXT NOT NULL, 
	gateway_id TEXT NOT NULL, 
	boot_id TEXT NOT NULL, 
	gateway_version TEXT NOT NULL, 
	received_at DOUBLE PRECISION NOT NULL, 
	method TEXT NOT NULL, 
	path TEXT NOT NULL, 
	dialect TEXT NOT NULL, 
	client_address TEXT, 
	client_request_id TEXT, 
	key TEXT, 
	key_fingerprint TEXT, 
	workload TEXT, 
	session TEXT, 
	retry_count BIGINT, 
	retry_of TEXT, 
	count BIGINT NOT NULL, 
	model_requested TEXT, 
	model TEXT, 
	engine TEXT, 
	streamed BOOLEAN, 
	priority_asked TEXT, 
	priority TEXT, 
	pool TEXT, 
	cost DOUBLE PRECISION, 
	prompt_tokens_estimated BIGINT, 
	enqueued_s DOUBLE PRECISION, 
	admitted_s DOUBLE PRECISION, 
	engine_ready_s DOUBLE PRECISION, 
	sent_s DOUBLE PRECISION, 
	first_byte_s DOUBLE PRECISION, 
	first_token_s DOUBLE PRECISION, 
	done_s DOUBLE PRECISION, 
	position_at_entry BIGINT, 
	wait_reasons TEXT NOT NULL, 
	caused_load BOOLEAN, 
	waited_for_load BOOLEAN, 
	load_id TEXT, 
	load_s DOUBLE PRECISION, 
	estimated_wait_s DOUBLE PRECISION, 
	outcome TEXT, 
	abandoned_in TEXT, 
	http_status BIGINT, 
	error_code TEXT, 
	error_detail TEXT, 
	response_content_type TEXT, 
	request_bytes BIGINT, 
	response_bytes BIGINT, 
	prompt_tokens BIGINT, 
	cached_tokens BIGINT, 
	completion_tokens BIGINT, 
	reasoning_tokens BIGINT, 
	drafted_tokens BIGINT, 
	accepted_tokens BIGINT, 
	token_source TEXT, 
	engine_prompt_ms DOUBLE PRECISION, 
	engine_decode_ms DOUBLE PRECISION, 
	finish_reason TEXT, 
	energy_j DOUBLE PRECISION, 
	PRIMARY KEY (id), 
	CONSTRAINT calls_ended_means_outcome CHECK ((outcome IS NOT NULL AND outcome <> 'interrupted') = (done_s IS NOT NULL))
);

CREATE INDEX calls_key ON calls (key, received_at);

CREATE INDEX calls_model ON calls (model, received_at);

CREATE INDEX calls_open ON calls (gateway_id) WHERE outcome IS NULL;

CREATE INDEX calls_received_at ON calls (received_at);

CREATE TABLE gateways (
	gateway_id TEXT NOT NULL, 
	state_dir TEXT NOT NULL, 
	PRIMARY KEY (gateway_id)
);

CREATE TABLE journal_checkpoint (
	gateway_id TEXT NOT NULL, 
	segment TEXT NOT NULL, 
	"offset" BIGINT NOT NULL, 
	PRIMARY KEY (gateway_id, segment)
);

CREATE TABLE loads (
	id TEXT NOT NULL, 
	gateway_id TEXT NOT NULL, 
	boot_id TEXT NOT NULL, 
	model TEXT NOT NULL, 
	started_at DOUBLE PRECISION NOT NULL, 
	engine TEXT, 
	devices TEXT NOT NULL, 
	source TEXT NOT NULL, 
	cause TEXT, 
	call_id TEXT, 
	victims TEXT NOT NULL, 
	stop_s DOUBLE PRECISION, 
	release_s DOUBLE PRECISION, 
	start_s DOUBLE PRECISION, 
	ready_s DOUBLE PRECISION, 
	done_s DOUBLE PRECISION, 
	outcome TEXT, 
	error_detail TEXT, 
	calls_waiting BIGINT, 
	memory_before_bytes BIGINT, 
	memory_after_bytes BIGINT, 
	read_bytes BIGINT, 
	PRIMARY KEY (id), 
	CONSTRAINT loads_ended_means_outcome CHECK ((outcome IS NOT NULL AND outcome <> 'interrupted') = (done_s IS NOT NULL))
);

CREATE INDEX loads_model ON loads (model, started_at);

CREATE INDEX loads_started_at ON loads (started_at);

CREATE TABLE poisoned (
	number SERIAL NOT NULL, 
	gateway_id TEXT NOT NULL, 
	segment TEXT NOT NULL, 
	"offset" BIGINT NOT NULL, 
	reason TEXT NOT NULL, 
	line TEXT NOT NULL, 
	PRIMARY KEY (number)
);

CREATE TABLE samples (
	id TEXT NOT NULL, 
	gateway_id TEXT NOT NULL, 
	boot_id TEXT NOT NULL, 
	host TEXT NOT NULL, 
	sampled_at DOUBLE PRECISION NOT NULL, 
	cpu_pct DOUBLE PRECISION, 
	cpu_load1 DOUBLE PRECISION, 
	cpu_load5 DOUBLE PRECISION, 
	ram_total_bytes BIGINT, 
	ram_available_bytes BIGINT, 
	ram_free_bytes BIGINT, 
	ram_active_bytes BIGINT, 
	ram_inactive_bytes BIGINT, 
	ram_wired_bytes BIGINT, 
	ram_compressed_bytes BIGINT, 
	swap_total_bytes BIGINT, 
	swap_used_bytes BIGINT, 
	gpu_pct DOUBLE PRECISION, 
	gpu_clock_mhz DOUBLE PRECISION, 
	gpu_memory_used_bytes BIGINT, 
	gpu_memory_total_bytes BIGINT, 
	power_w DOUBLE PRECISION, 
	devices TEXT NOT NULL, 
	engines TEXT NOT NULL, 
	PRIMARY KEY (id)
);

CREATE INDEX samples_sampled_at ON samples (sampled_at);

CREATE VIEW request_events AS
SELECT
    id,
    received_at + coalesce(enqueued_s, 0.0) AS t_enqueue,
    received_at + admitted_s AS t_acquire,
    received_at + first_token_s AS t_first_token,
    received_at + done_s AS t_done,
    model_requested,
    coalesce(key_fingerprint, 'none') AS key_fp,
    coalesce(streamed, false) AS streamed,
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
    coalesce((SELECT key FROM json_each_text(wait_reasons::json) ORDER BY value::double precision DESC, key LIMIT 1), CASE WHEN enqueued_s IS NOT NULL THEN 'none' END) AS wait_reason,
    pool,
    workload,
    cached_tokens
FROM calls
WHERE outcome IS NOT NULL AND model_requested IS NOT NULL;

CREATE VIEW host_samples AS
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
    (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'pid', value -> 'pid', 'name', value -> 'engine', 'cpu_pct', value -> 'cpu_pct',
            'rss_gb', round((value ->> 'resident_bytes')::numeric / 1073741824, 2),
            'footprint_gb', round((value ->> 'footprint_bytes')::numeric / 1073741824, 2),
            'gpu_pct', value -> 'gpu_use_pct'
        )), '[]'::jsonb) FROM jsonb_array_elements(engines::jsonb)
    ) AS backends_json
FROM samples;

CREATE VIEW model_loads AS
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
FROM loads;

CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);

INSERT INTO alembic_version VALUES ('0001');
