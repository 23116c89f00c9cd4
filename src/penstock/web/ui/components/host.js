/** The machine: its processors, memory and GPUs, and what each engine takes of them. */

import { bytes, number } from "../format.js";
import { html } from "../html.js";
import { Heading } from "./parts.js";

/** @typedef {import("../types.js").HostSample} HostSample */

/** @param {{host: HostSample}} props */
export function Host({ host }) {
  return html`
    <section class="card host" aria-labelledby="host">
      <${Heading} title="Host" id="host"><small class="host-name">${host.host}</small></${Heading}>
      <dl class="gauges">
        <${Gauge} name="CPU" parts=${[percent(host.cpu_pct)]} words=${cpuWords(host)} />
        <${Gauge} name="Memory" parts=${memoryParts(host)} words=${memoryWords(host)} />
        ${
          host.swap_total_bytes > 0 &&
          html`<${Gauge} name="Swap" parts=${[share(host.swap_used_bytes, host.swap_total_bytes)]}
            words=${ofTotal(host.swap_used_bytes, host.swap_total_bytes)} />`
        }
        ${host.devices.map((device) => html`<${Device} key=${device.name} device=${device} />`)}
      </dl>
      ${host.engines.length > 0 && html`<${Engines} engines=${host.engines} />`}
    </section>`;
}

/** One bar; its first part is the engines' where there are two. */
function Gauge({ name, parts, words, title = "" }) {
  return html`
    <div class="gauge">
      <dt title=${title}>${name}</dt>
      <dd class="gauge-bar" aria-hidden="true">
        ${parts.map((part, index) => html`<i class="gauge-part-${index}" style=${{ width: `${100 * part}%` }}></i>`)}
      </dd>
      <dd class="gauge-words">${words}</dd>
    </div>`;
}

function Device({ device }) {
  const { name, memory_used_bytes, memory_total_bytes } = device;
  return html`
    <${Gauge} name=${name} title=${device.product ?? ""} parts=${[percent(device.use_pct)]}
      words=${deviceWords(device)} />
    ${
      memory_used_bytes !== null &&
      html`<${Gauge} name="${name} memory" parts=${[share(memory_used_bytes, memory_total_bytes)]}
        words=${ofTotal(memory_used_bytes, memory_total_bytes)} />`
    }`;
}

function Engines({ engines }) {
  return html`
    <ul class="host-engines" aria-label="Memory by engine">
      ${engines.map((engine) => {
        return html`
          <li key=${engine.engine}>
            <strong title=${engine.model}>${engine.model}</strong>
            <span>${bytes(engine.footprint_bytes)}</span>
            <span>${engine.device_memory_bytes !== null && `${bytes(engine.device_memory_bytes)} GPU`}</span>
            <span>${engine.cpu_pct !== null && `${number(engine.cpu_pct)} % CPU`}</span>
          </li>`;
      })}
    </ul>`;
}

function memoryParts(host) {
  const engines = host.engines.reduce((sum, engine) => sum + (engine.footprint_bytes ?? 0), 0);
  const used = usedBytes(host);
  if (used === null) return [0];
  const ours = Math.min(engines, used);
  return [share(ours, host.ram_total_bytes), share(used - ours, host.ram_total_bytes)];
}

function memoryWords(host) {
  return ofTotal(usedBytes(host), host.ram_total_bytes);
}

/** What could not be had without swapping. */
function usedBytes({ ram_total_bytes, ram_available_bytes }) {
  return ram_total_bytes === null || ram_available_bytes === null ? null : ram_total_bytes - ram_available_bytes;
}

function cpuWords({ cpu_pct, cpu_load1 }) {
  const words = [];
  if (cpu_pct !== null) words.push(`${number(cpu_pct)} %`);
  if (cpu_load1 !== null) words.push(`load ${cpu_load1.toFixed(1)}`);
  return words.join(" · ");
}

function deviceWords({ use_pct, power_w, temperature_c, clock_mhz }) {
  const words = [];
  if (use_pct !== null) words.push(`${number(use_pct)} %`);
  if (power_w !== null) words.push(`${number(power_w)} W`);
  if (temperature_c !== null) words.push(`${number(temperature_c)} °C`);
  if (clock_mhz !== null) words.push(`${number(clock_mhz)} MHz`);
  return words.join(" · ");
}

function ofTotal(used, total) {
  return total === null ? bytes(used) : `${bytes(used)} of ${bytes(total)}`;
}

/** Between 0 and 1; unknown is drawn as nothing. */
function share(count, total) {
  return count === null || !total ? 0 : Math.min(1, count / total);
}

function percent(value) {
  return share(value, 100);
}
