import { GatewayError } from '../errors.ts';
import type { PluginReason } from './record.ts';

/** A plugin with failure mode `abort` failed: the gateway ends with exit code 70. */
export class PluginAbortError extends GatewayError {
  constructor(plugin: string, reason: PluginReason, cause?: unknown) {
    super('plugin_error', `Plugin "${plugin}" failed and its failure mode is "abort": ${reason.message}`, {
      plugin,
      cause,
    });
  }
}
