import type { DeploymentConfig } from '../../config/types.ts';
import { toError } from '../../errors.ts';
import type { Http1Client } from '../../http1/client.ts';
import { requestHead } from '../../http1/request-head.ts';
import type { LlmSurface } from '../../plugin-api/llm.ts';
import { addTrace } from '../../wire/trace-context.ts';
import type { Surface } from '../surface/surface.ts';
import { unreachable } from './failure.ts';
import { addClientHeaders, addVersion } from './headers.ts';
import type { HttpApi } from './http-api.ts';
import type { Pools } from './pools.ts';
import { createRedact, type Redact, secretsOf } from './redact.ts';
import { createTimeouts, deadlinesFor, type Timeouts } from './timeouts.ts';
import type { AnswerHandler, Upstream, UpstreamCall } from './upstream.ts';

/** An upstream that is reached over HTTP, and gets the bytes as the client has sent them. */
export class HttpUpstream implements Upstream {
  readonly redact: Redact;
  readonly #id: string;
  readonly #model: string;
  readonly #client: Http1Client;
  /** What is the same in every request to a surface, as text. */
  readonly #heads: ReadonlyMap<LlmSurface, string>;
  /** The same for bodies that bring their own `Content-Type`. */
  readonly #headsButType: ReadonlyMap<LlmSurface, string>;
  /** Sent with the client's value, or else with this one; `null`: none is asked for, or the operator has set it. */
  readonly #version: HttpApi['version'];
  readonly #timeouts: Timeouts;

  /** @param baseUrl for example `https://api.openai.com/v1`; trusted, as all that the operator configures */
  constructor(config: DeploymentConfig, api: HttpApi, baseUrl: URL, pools: Pools) {
    this.#id = config.id;
    this.#model = config.model;
    this.#client = pools.of(baseUrl);
    const headers = fixedHeaders(config, api);
    const paths = api.pathsOn(baseUrl, config);
    // The operator may ask for another name than the one that is connected to.
    const host = headers.get('host') ?? baseUrl.host;
    headers.delete('host');
    this.#heads = headsOf(paths, host, headers);
    headers.delete('content-type');
    this.#headsButType = headsOf(paths, host, headers);
    this.#version = api.version === null || headers.has(api.version[0]) ? null : api.version;
    this.#timeouts = createTimeouts(config);
    this.redact = createRedact(secretsOf(config));
  }

  /** Within its API only the upstream knows: it says 404 to what it does not serve. */
  serves(surface: Surface): boolean {
    return this.#heads.has(surface.name);
  }

  send(call: UpstreamCall, handler: AnswerHandler): void {
    const { surface, body } = call;
    const heads = body.contentType === null ? this.#heads : this.#headsButType;
    const request = {
      head: heads.get(surface.name) as string,
      headers: this.#headersOf(call),
      body: body.withModel(this.#model),
      lender: body,
      idleMs: deadlinesFor(call, this.#timeouts).idleMs,
    };
    try {
      this.#client.dispatch(request, handler);
    } catch (error) {
      handler.reject(unreachable(this.#id, toError(error)));
    }
  }

  /** What differs from call to call: names and values in turn. */
  #headersOf(call: UpstreamCall): string[] {
    const headers = ['accept', acceptOf(call), 'x-request-id', call.id];
    const { contentType } = call.body;
    if (contentType !== null) headers.push('content-type', contentType);
    addClientHeaders(headers, call.clientHeaders);
    if (call.trace !== null) addTrace(headers, call.trace);
    if (this.#version !== null) addVersion(headers, call.clientHeaders, this.#version);
    return headers;
  }
}

function headsOf(
  paths: ReadonlyMap<LlmSurface, string>,
  host: string,
  headers: ReadonlyMap<string, string>,
): ReadonlyMap<LlmSurface, string> {
  return new Map([...paths].map(([surface, path]) => [surface, requestHead(path, host, headers)]));
}

function acceptOf({ surface, body }: UpstreamCall): string {
  if (surface.answer === 'bytes') return '*/*';
  return body.stream ? 'text/event-stream' : 'application/json';
}

function fixedHeaders(config: DeploymentConfig, api: HttpApi): Map<string, string> {
  const headers = new Map<string, string>([
    ['content-type', 'application/json'],
    // The bytes are looked at on their way: a compressed answer could not be.
    ['accept-encoding', 'identity'],
  ]);
  if (config.apiKey !== null) headers.set(...api.credentials(config.apiKey.reveal()));
  for (const [name, value] of Object.entries(config.headers)) headers.set(name.toLowerCase(), value);
  return headers;
}
