import type { GatewayConfig } from '../config/types.ts';
import type { Containment } from '../containment/containment.ts';
import type { StoredQuarantine } from '../lifecycle/quarantine-store.ts';
import type { PluginRecord } from '../lifecycle/record.ts';
import type { PluginRegistry } from '../lifecycle/registry.ts';
import { placeholder } from '../lifecycle/silhouette.ts';
import { Starter } from '../lifecycle/start.ts';
import type { PluginContext } from '../plugin-api/context.ts';
import type { StepTimer } from '../telemetry/boot-timer.ts';
import { Claims } from './claims.ts';

export interface GenerationOptions {
  readonly config: GatewayConfig;
  readonly containment: Containment;
  /** Express patterns that the gateway serves itself. */
  readonly gatewayPaths: readonly string[];
  readonly createContext: (record: PluginRecord, signal: AbortSignal) => PluginContext;
  /** Aborted when the gateway is stopped. */
  readonly stopping: AbortSignal;
  /** Times the steps of the start. */
  readonly timer: StepTimer;
}

/** Plugins that serve together: who they are, what each of them claims, and what starts them. */
export class Generation {
  readonly registry: PluginRegistry;
  readonly starter: Starter;
  #claims: Claims;

  constructor(options: GenerationOptions, registry: PluginRegistry) {
    this.registry = registry;
    this.#claims = new Claims(options.gatewayPaths);
    this.starter = this.#createStarter(options);
  }

  get claims(): Claims {
    return this.#claims;
  }

  /** Keeps a plugin out and what it guards shut, as its stored quarantine says. */
  restore(record: PluginRecord, { since, cause, code, silhouette }: StoredQuarantine): void {
    record.quarantine = { since, until: null, cause };
    if (silhouette !== null) {
      record.bag = placeholder(silhouette);
      this.#claims.claim(record);
    }
    this.registry.transition(record, 'quarantine', { code, message: cause });
  }

  /** Becomes `next`, whose plugins serve from now on. */
  adopt(next: Generation): void {
    this.registry.replace(next.registry);
    this.#claims = next.#claims;
  }

  #createStarter({ config, containment, createContext, stopping, timer }: GenerationOptions): Starter {
    return new Starter({
      registry: this.registry,
      containment,
      startupTimeoutMs: config.plugins.startupTimeoutMs,
      createContext,
      createRegistrar: (record, bag) => this.#claims.registrar(record, bag, config.plugins),
      release: (plugin) => this.#claims.release(plugin),
      stopping,
      timer,
    });
  }
}
