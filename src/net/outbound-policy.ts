import { Agent } from 'undici';
import type { OutboundInit } from '../plugin-api/context.ts';
import { createConnector } from './connector.ts';
import { parseOutboundUrl, toDestination } from './destination.ts';
import { createExceptions, type Exceptions, type OutboundRules, type Trust } from './exceptions.ts';
import { createAddressGuard, type LookupAll, systemLookup } from './guard.ts';
import { createOutboundFetch, type FetchLimits } from './outbound-fetch.ts';

/** Bounds of every outbound request. */
export interface OutboundLimits extends FetchLimits {
  /** Longest look-up of a name. Default 5000. */
  readonly lookupTimeoutMs: number;
  /** Longest wait for a connection, TLS included; a second coarse. Default 10000. */
  readonly connectTimeoutMs: number;
}

export interface OutboundPolicyOptions {
  /** Default: the system's resolver. */
  readonly lookup?: LookupAll;
  readonly limits?: Partial<OutboundLimits>;
}

/**
 * What plugins may connect to: public addresses over http and https, and the operator's exceptions. Any doubt refuses.
 */
export interface OutboundPolicy extends Outbound {
  /**
   * The same policy for a caller to whom the operator has given URLs of its own: they are trusted, and so is what lies
   * below them, as those of `LLMROUTER_OUTBOUND_URL_ALLOWLIST` are. Connections are shared.
   *
   * @param urls an origin and a path each
   */
  trusting(urls: readonly string[]): Outbound;
  /** Ends all connections, also those in use: open bodies end with an error. */
  close(): Promise<void>;
}

/** The two ways to ask for an outbound request. */
export interface Outbound {
  /**
   * Resolves to the normalised URL when plugins may connect to it now. A name may lead elsewhere a moment later:
   * {@link OutboundPolicy.fetch} judges again, at connect.
   *
   * @throws SSRFBlockedError `ssrf_blocked`, with `reason`
   */
  validate(url: string | URL): Promise<string>;
  /**
   * The standard `fetch` under the policy, which holds for the address really dialled and on every redirect hop.
   * Differences: bodies are capped, a body that may be truncated errors at its end, other origins get only harmless
   * headers after a redirect, `redirect: 'manual'` gives the 3xx answer itself, proxies of the environment are ignored.
   *
   * @throws SSRFBlockedError `ssrf_blocked`, with `reason`
   * @throws DOMException `TimeoutError` when a limit in time is passed; the reason of `init.signal` when it is aborted
   * @throws TypeError `fetch failed`, with `cause`, when the network fails
   */
  fetch(url: string | URL, init?: OutboundInit): Promise<Response>;
}

const DEFAULT_LIMITS: OutboundLimits = {
  lookupTimeoutMs: 5000,
  connectTimeoutMs: 10_000,
  headersTimeoutMs: 300_000,
  bodyTimeoutMs: 300_000,
  totalTimeoutMs: 600_000,
  maxResponseBytes: 33_554_432,
  maxRedirects: 20,
};

/**
 * Builds the outbound policy of plugins. What an operator writes as a target (`api_base`, a Redis URL) does not go
 * through it.
 *
 * @throws ConfigError `config_invalid` when an exception cannot be read
 *
 * @example
 * ```ts
 * const policy = createOutboundPolicy({ allowPrivate: false, hosts: [], cidrs: ['10.1.0.0/16'], urls: [] });
 * await policy.validate('http://10.1.2.3/hook'); // 'http://10.1.2.3/hook'
 * await policy.validate('http://10.2.0.1/'); // throws SSRFBlockedError, reason 'address'
 * ```
 */
export function createOutboundPolicy(
  rules: OutboundRules,
  options: OutboundPolicyOptions = {},
): OutboundPolicy {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const exceptions = createExceptions(rules);
  const guard = createAddressGuard(exceptions, options.lookup ?? systemLookup, limits.lookupTimeoutMs);
  const agents = { none: createAgent('none'), operator: createAgent('operator') };

  // One pool per trust: a kept-alive connection that a URL exception admitted must not serve another path of its origin.
  function createAgent(trust: Trust): Agent {
    const connect = createConnector({ guard, trust, connectTimeoutMs: limits.connectTimeoutMs });
    return new Agent({ connect, allowH2: false, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
  }

  // Who is trusted differs between callers; what trust opens, and so the agents, does not.
  function outboundOf(trusted: Exceptions): Outbound {
    return {
      async validate(url) {
        const destination = toDestination(parseOutboundUrl(url), trusted);
        await guard.resolve(destination);
        return destination.url.href;
      },
      fetch: createOutboundFetch({ exceptions: trusted, agents, limits }),
    };
  }

  return {
    ...outboundOf(exceptions),
    trusting: (urls) => outboundOf(createExceptions({ ...rules, urls: [...rules.urls, ...urls] })),
    async close() {
      await Promise.all([agents.none.destroy(), agents.operator.destroy()]);
    },
  };
}
