import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import type { PluginContext } from 'routeiq-gateway/plugin';
import { type CollectorSettings, exporterOptions } from './settings.ts';

type Done = Parameters<OTLPTraceExporter['export']>[1];

/** Knows whether the collector takes what it is sent. The SDK itself fails in silence. */
export class Delivery {
  readonly #log: PluginContext['logger'];
  #problem: string | null = null;

  constructor(log: PluginContext['logger']) {
    this.#log = log;
  }

  /** Why the last delivery failed, `null` when it did not. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Takes note of a result on its way to `done`. */
  noting(done: Done): Done {
    return (result) => {
      // `ExportResultCode.SUCCESS` of the SDK.
      this.#note(result.code === 0 ? null : (result.error?.message ?? 'unknown'));
      done(result);
    };
  }

  /** One line when it begins to fail and one when it is well again, however long that takes. */
  #note(problem: string | null): void {
    if (problem !== null && this.#problem === null)
      this.#log.warn('the collector does not take telemetry: what waits too long is lost', { problem });
    if (problem === null && this.#problem !== null) this.#log.info('the collector takes telemetry again');
    this.#problem = problem;
  }
}

/** The official exporter of traces, watched. */
export class WatchedTraceExporter extends OTLPTraceExporter {
  readonly #delivery: Delivery;

  constructor(settings: CollectorSettings, delivery: Delivery) {
    super(exporterOptions(settings, 'traces'));
    this.#delivery = delivery;
  }

  override export(...[spans, done]: Parameters<OTLPTraceExporter['export']>): void {
    super.export(spans, this.#delivery.noting(done));
  }
}

/** The official exporter of metrics, watched. */
export class WatchedMetricExporter extends OTLPMetricExporter {
  readonly #delivery: Delivery;

  constructor(settings: CollectorSettings, delivery: Delivery) {
    super(exporterOptions(settings, 'metrics'));
    this.#delivery = delivery;
  }

  override export(...[metrics, done]: Parameters<OTLPMetricExporter['export']>): void {
    super.export(metrics, this.#delivery.noting(done));
  }
}
