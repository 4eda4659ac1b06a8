import {
  GatewayPlugin,
  type HealthReport,
  type PluginApp,
  type PluginContext,
  type PluginMetadata,
} from 'routeiq-gateway/plugin';
import { CallMeter } from './call-meter.ts';
import { CallTracer } from './call-tracer.ts';
import { Delivery } from './delivery.ts';
import { readSettings, toResource } from './settings.ts';

/** Tells an OpenTelemetry collector of every LLM call. See README.md. */
export default class OtelPlugin extends GatewayPlugin {
  override readonly metadata: PluginMetadata = {
    name: 'otel',
    version: '1.0.0',
    capabilities: ['OBSERVABILITY_EXPORTER'],
    description: 'Sends traces and metrics of LLM calls to an OpenTelemetry collector',
  };
  #delivery: Delivery | null = null;
  #tracer: CallTracer | null = null;
  #meter: CallMeter | null = null;

  override startup(app: PluginApp, { settings, logger }: PluginContext): void {
    const collector = readSettings(settings);
    const delivery = new Delivery(logger);
    const resource = toResource(collector);
    const tracer = new CallTracer(collector, resource, delivery);
    const meter = new CallMeter(collector, resource, delivery);
    this.#delivery = delivery;
    this.#tracer = tracer;
    this.#meter = meter;
    app.exporter({
      name: 'otlp',
      export(batch) {
        for (const record of batch) {
          tracer.add(record);
          meter.add(record);
        }
        // While this is waited for, no further batch comes: what is too much waits, and is dropped, in the gateway.
        return tracer.makeRoom();
      },
      flush: async () => {
        await Promise.all([tracer.flush(), meter.flush()]);
      },
    });
  }

  override async shutdown(): Promise<void> {
    await Promise.all([this.#tracer?.close(), this.#meter?.close()]);
  }

  healthCheck(): HealthReport {
    const problem = this.#delivery?.problem ?? null;
    return problem === null
      ? { status: 'ok' }
      : { status: 'degraded', message: `the collector does not take telemetry: ${problem}` };
  }
}
