import type { LlmSurface } from '../../plugin-api/llm.ts';
import type { Surface } from '../surface/surface.ts';
import type { Redact } from '../upstream/redact.ts';
import type { AnswerHandler, Upstream, UpstreamCall } from '../upstream/upstream.ts';
import type { Carrier } from './carrier.ts';
import type { ClientDialect } from './client/table.ts';

/**
 * An upstream for clients of more dialects than it speaks. Calls that need no crossing go through as they are: for them
 * this costs one look-up.
 */
export class CrossingUpstream implements Upstream {
  readonly redact: Redact;
  readonly #native: Upstream;
  readonly #carrier: Carrier;
  readonly #crossed: ReadonlyMap<LlmSurface, ClientDialect>;

  /** @param crossed the dialects that have to cross, by the surface of their calls */
  constructor(native: Upstream, carrier: Carrier, crossed: ReadonlyMap<LlmSurface, ClientDialect>) {
    this.redact = native.redact;
    this.#native = native;
    this.#carrier = carrier;
    this.#crossed = crossed;
  }

  serves(surface: Surface): boolean {
    return this.#crossed.has(surface.name) || this.#native.serves(surface);
  }

  send(call: UpstreamCall, handler: AnswerHandler): void {
    const client = this.#crossed.get(call.surface.name);
    if (client === undefined) this.#native.send(call, handler);
    else this.#carrier.carry(call, client, handler);
  }
}
