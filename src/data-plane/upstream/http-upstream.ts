import type { Pool } from 'undici';
import type { DeploymentConfig } from '../../config/types.ts';
import { toError } from '../../errors.ts';
import type { LlmSurface } from '../../plugin-api/llm.ts';
import { SURFACES } from '../surface/table.ts';
import type { Attempt } from './attempt.ts';
import { unreachable } from './failure.ts';
import { addClientHeaders } from './headers.ts';
import type { Pools } from './pools.ts';
import { createRedact, type Redact } from './redact.ts';
import { createTimeouts, type Timeouts } from './timeouts.ts';
import type { Upstream, UpstreamCall } from './upstream.ts';

/** An upstream that speaks OpenAI's API. */
export class HttpUpstream implements Upstream {
  readonly redact: Redact;
  readonly #id: string;
  readonly #model: string;
  readonly #pool: Pool;
  readonly #paths: ReadonlyMap<LlmSurface, string>;
  /** Names and values in turn: what undici takes without building anything. */
  readonly #headers: readonly string[];
  /** The same for bodies that bring their own `Content-Type`. */
  readonly #headersButType: readonly string[];
  readonly #timeouts: Timeouts;

  /** @param baseUrl for example `https://api.openai.com/v1`; trusted, as all that the operator configures */
  constructor(config: DeploymentConfig, baseUrl: URL, pools: Pools) {
    this.#id = config.id;
    this.#model = config.model;
    this.#pool = pools.of(baseUrl.origin);
    this.#paths = pathsBelow(baseUrl);
    const headers = fixedHeaders(config);
    this.#headers = [...headers].flat();
    this.#headersButType = [...headers].filter(([name]) => name !== 'content-type').flat();
    this.#timeouts = createTimeouts(config.timeoutMs);
    this.redact = createRedact(secretsOf(config));
  }

  #headersFor(contentType: string | null): string[] {
    if (contentType === null) return this.#headers.slice();
    return [...this.#headersButType, 'content-type', contentType];
  }

  /** Only the upstream knows: it says 404 to what it does not serve. */
  serves(): boolean {
    return true;
  }

  send(call: UpstreamCall, attempt: Attempt): void {
    const headers = this.#headersFor(call.body.contentType);
    headers.push('accept', acceptOf(call), 'x-request-id', call.id);
    addClientHeaders(headers, call.clientHeaders);
    const options = {
      path: this.#paths.get(call.surface.name) as string,
      method: 'POST',
      body: call.body.withModel(this.#model),
      headers,
      headersTimeout: this.#timeouts.firstByteMs,
      bodyTimeout: this.#timeouts.idleMs,
    };
    try {
      this.#pool.dispatch(options, attempt);
    } catch (error) {
      attempt.reject(unreachable(this.#id, toError(error)));
    }
  }
}

function acceptOf({ surface, body }: UpstreamCall): string {
  if (surface.answer === 'bytes') return '*/*';
  return body.stream ? 'text/event-stream' : 'application/json';
}

function pathsBelow({ pathname, search }: URL): ReadonlyMap<LlmSurface, string> {
  const base = pathname.replace(/\/$/, '');
  return new Map(SURFACES.map(({ name, upstreamPath }) => [name, `${base}${upstreamPath}${search}`]));
}

function fixedHeaders(config: DeploymentConfig): ReadonlyMap<string, string> {
  const headers = new Map<string, string>([
    ['content-type', 'application/json'],
    // The bytes are looked at on their way: a compressed answer could not be.
    ['accept-encoding', 'identity'],
  ]);
  if (config.apiKey !== null) headers.set('authorization', `Bearer ${config.apiKey.reveal()}`);
  for (const [name, value] of Object.entries(config.headers)) headers.set(name.toLowerCase(), value);
  return headers;
}

/** Operators put keys into `extra_headers` too. */
function secretsOf(config: DeploymentConfig): string[] {
  const headers = Object.values(config.headers).map((value) => value.replace(/^Bearer\s+/i, ''));
  return config.apiKey === null ? headers : [config.apiKey.reveal(), ...headers];
}
