import { randomUUID } from 'node:crypto';
import { defaultResource, type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import { ATTR_SERVICE_NAME } from '@opentelemetry/semantic-conventions';
import type { PluginSettings } from 'routeiq-gateway/plugin';

/** Where telemetry goes, and how often. */
export interface CollectorSettings {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds between two deliveries. */
  readonly intervalMs: number;
  /** Milliseconds for one delivery, with its retries. */
  readonly timeoutMs: number;
  readonly serviceName: string;
  readonly resourceAttributes: Readonly<Record<string, string>>;
}

/** The settings, which the gateway has checked against the schema. */
export function readSettings(settings: PluginSettings): CollectorSettings {
  return {
    endpoint: settings.get<string>('endpoint').replace(/\/+$/, ''),
    headers: settings.get<Readonly<Record<string, string>>>('headers', {}),
    intervalMs: settings.get<number>('interval_ms'),
    timeoutMs: settings.get<number>('timeout_ms'),
    serviceName: settings.get<string>('service_name'),
    resourceAttributes: settings.get<Readonly<Record<string, string>>>('resource_attributes', {}),
  };
}

/** Options of an exporter for `signal`. */
export function exporterOptions(
  { endpoint, headers, timeoutMs }: CollectorSettings,
  signal: 'traces' | 'metrics',
): { url: string; headers: Record<string, string>; timeoutMillis: number } {
  return { url: `${endpoint}/v1/${signal}`, headers: { ...headers }, timeoutMillis: timeoutMs };
}

/** Who the telemetry is of. Workers and replicas count each for itself, so each has an id. */
export function toResource({ serviceName, resourceAttributes }: CollectorSettings): Resource {
  return defaultResource().merge(
    resourceFromAttributes({
      [ATTR_SERVICE_NAME]: serviceName,
      'service.instance.id': randomUUID(),
      ...resourceAttributes,
    }),
  );
}
