/**
 * What the gateway tells the page, as types. Only documentation: nothing here runs.
 * Moments named `…_at`, `since` and `now` are epoch seconds of the gateway's clock; null = unknown, never 0.
 *
 * @typedef {"stopped"|"starting"|"ready"|"draining"|"sleeping"|"waking"|"stopping"|"backoff"|"failed"} Phase
 *
 * @typedef {object} Gateway
 * @property {string} version
 * @property {string} boot_id
 * @property {number} started_at
 * @property {string} address
 * @property {"ok"|"degraded"} health
 * @property {string[]} health_reasons
 *
 * @typedef {object} ModelView
 * @property {string} name
 * @property {Phase} phase
 * @property {number} since when it entered its phase
 * @property {number} running
 * @property {number} waiting
 * @property {number|null} slots null = no cap
 * @property {number|null} memory_bytes
 * @property {number|null} [measured_bytes] what it was seen to take
 * @property {number|null} ttl_s idle seconds until it is stopped; null = never
 * @property {number|null} idle_since
 * @property {string|null} failure
 * @property {string|null} log_tail
 * @property {string[]} aliases
 * @property {string|null} description
 * @property {string|null} kind "chat", "embedding", …
 * @property {boolean} is_launched false = it is simply there, nothing to load
 * @property {number|null} load_s how long a load usually takes
 * @property {number|null} pid
 * @property {boolean} unlisted
 * @property {boolean} [is_pinned] it is kept loaded
 * @property {boolean} [is_paused] nothing is admitted or loaded for it
 *
 * @typedef {object} CallView
 * @property {string} id
 * @property {string|null} model null = its request is not read yet
 * @property {string|null} key
 * @property {"high"|"normal"|"low"|null} priority
 * @property {"reading"|"queued"|"loading"|"sent"|"streaming"} phase
 * @property {number} received_at
 * @property {number|null} admitted_at
 * @property {string} path
 * @property {string|null} client_address
 * @property {boolean|null} streamed
 * @property {number|null} position calls of its model before it; 0 = it is next
 * @property {string|null} wait_reason
 * @property {string|null} wait_for the model that the reason speaks of
 * @property {number|null} estimate_s
 * @property {number|null} bound_s
 * @property {number} response_bytes
 * @property {boolean} [has_capture] what it says can be looked at
 *
 * @typedef {object} RecordView One closed call; `…_s` are seconds after `received_at`.
 * @property {string} id
 * @property {number} received_at
 * @property {string} path
 * @property {string|null} model
 * @property {string|null} model_requested
 * @property {string|null} key
 * @property {boolean|null} streamed
 * @property {boolean|null} caused_load
 * @property {number|null} enqueued_s
 * @property {number|null} admitted_s
 * @property {number|null} engine_ready_s
 * @property {number|null} sent_s
 * @property {number|null} first_byte_s
 * @property {number|null} first_token_s
 * @property {number|null} done_s
 * @property {Record<string, number>} wait_reasons
 * @property {number|null} load_wait_s
 * @property {number|null} queue_wait_s
 * @property {string|null} outcome
 * @property {number|null} http_status
 * @property {string|null} error_code
 * @property {string|null} error_detail
 * @property {number|null} prompt_tokens
 * @property {number|null} cached_tokens
 * @property {number|null} completion_tokens
 * @property {number|null} engine_decode_ms
 * @property {boolean} [has_capture] what it said can be looked at
 *
 * @typedef {object} SessionKey Whose session the page is in.
 * @property {string} name
 * @property {"viewer"|"admin"} role
 *
 * @typedef {object} Counts
 * @property {number} running
 * @property {number} waiting
 *
 * @typedef {object} DeviceSample
 * @property {string} name
 * @property {string|null} product
 * @property {number|null} use_pct
 * @property {number|null} memory_used_bytes
 * @property {number|null} memory_total_bytes
 * @property {number|null} power_w
 * @property {number|null} temperature_c
 * @property {number|null} clock_mhz
 *
 * @typedef {object} EngineSample
 * @property {string} engine
 * @property {string} model
 * @property {number|null} cpu_pct of one core
 * @property {number|null} footprint_bytes of the host's memory
 * @property {number|null} device_memory_bytes of GPUs
 *
 * @typedef {object} HostSample
 * @property {string} host
 * @property {number|null} cpu_pct
 * @property {number|null} cpu_load1
 * @property {number|null} ram_total_bytes
 * @property {number|null} ram_available_bytes
 * @property {number|null} swap_total_bytes
 * @property {number|null} swap_used_bytes
 * @property {DeviceSample[]} devices
 * @property {EngineSample[]} engines
 *
 * @typedef {object} State
 * @property {number} seq
 * @property {number} now
 * @property {Gateway} gateway
 * @property {Record<string, ModelView>} models
 * @property {Record<string, CallView>} calls waiting and running ones, at most 200; `counts` tell the rest
 * @property {Counts} counts
 * @property {RecordView[]} recent newest first
 * @property {HostSample|null} [host] the last sample; null = nothing is measured
 *
 * @typedef {object} Kept
 * @property {Map<string, ModelView>} models
 * @property {Map<string, CallView>} calls
 *
 * @typedef {Omit<State, "models"|"calls"> & Kept} Known the state as the page keeps it
 *
 * @typedef {object} Delta Only what changed; a null model or call is gone.
 * @property {number} seq
 * @property {number} now
 * @property {Gateway} [gateway]
 * @property {Record<string, ModelView|null>} [models]
 * @property {Record<string, CallView|null>} [calls]
 * @property {Counts} [counts]
 * @property {RecordView[]} [recent]
 * @property {HostSample} [host]
 */

export {};
