import { GatewayError } from '../errors.ts';
import type { PluginReason } from './record.ts';

/** A plugin turns out to have another name than it was quarantined under: only a new start can give it that one. */
export class PluginRenamedError extends GatewayError {
  constructor(plugin: string, name: string) {
    super(
      'conflict',
      `Plugin "${plugin}" is released, but calls itself "${name}": restart the gateway to start it`,
      {
        plugin,
      },
    );
  }
}

/** A plugin with failure mode `abort` failed: the gateway ends with exit code 70. */
export class PluginAbortError extends GatewayError {
  constructor(plugin: string, reason: PluginReason, cause?: unknown) {
    super('plugin_error', `Plugin "${plugin}" failed and its failure mode is "abort": ${reason.message}`, {
      plugin,
      cause,
    });
  }
}

/** What one plugin did to make a reload fail. */
export interface ReloadFailure extends PluginReason {
  readonly name: string;
}

/** A reload failed, and nothing has changed: all plugins go on as they were. */
export class ReloadFailedError extends GatewayError {
  /** At least one. */
  readonly failed: readonly ReloadFailure[];

  constructor(failed: readonly ReloadFailure[]) {
    const told = failed.map(({ name, message }) => `plugin "${name}": ${message}`).join('; ');
    super('plugin_reload_failed', `Nothing was reloaded. ${told}`);
    this.failed = failed;
  }
}
