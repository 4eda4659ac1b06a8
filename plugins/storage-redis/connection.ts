import { createClient } from 'redis';
import { GatewayError, type PluginContext } from 'routeiq-gateway/plugin';

export interface ConnectionOptions {
  readonly url: string;
  readonly connectTimeoutMs: number;
  readonly silenceTimeoutMs: number;
  readonly log: PluginContext['logger'];
}

/** The client of the `redis` package. */
export type Client = ReturnType<typeof createClient>;

const MAX_RECONNECT_MS = 2000;

/** The one connection to the server. It is made again, without an end, whenever it breaks. */
export class Connection {
  readonly #client: Client;
  readonly #options: ConnectionOptions;
  /** The failure that was logged last: one that repeats itself every second is said once. */
  #lastFailure = '';

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#client = create(options);
    this.#client.on('error', (error: Error) => this.#failed(error));
    this.#client.on('ready', () => this.#ready());
  }

  get isReady(): boolean {
    return this.#client.isReady;
  }

  /** Waits for the server, but not for ever: a gateway that is up before its Redis gets along once that is there. */
  async open(): Promise<void> {
    const { connectTimeoutMs, log } = this.#options;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, connectTimeoutMs);
    // Rejects only when `close` comes first: whatever else fails is tried again.
    const connected = this.#client.connect().catch(() => undefined);
    await Promise.race([connected, late]);
    clearTimeout(timer);
    if (!this.isReady) {
      log.warn('the server could not be reached; until it is, everything that needs storage is refused');
    }
  }

  /** Cuts the connection. What was being asked rejects. */
  close(): void {
    if (this.#client.isOpen) this.#client.destroy();
  }

  /**
   * Asks the server.
   *
   * @throws GatewayError `storage_unavailable` when it is away; else its own refusal
   */
  async ask<T>(command: (client: Client) => Promise<T>): Promise<T> {
    try {
      return await command(this.#client);
    } catch (cause) {
      if (this.isReady && isRefusal(cause)) throw cause;
      throw new GatewayError('storage_unavailable', 'The storage server cannot be reached', { cause });
    }
  }

  #failed({ message }: Error): void {
    if (message === this.#lastFailure) return;
    this.#lastFailure = message;
    this.#options.log.warn('the connection to the server failed', { cause: message });
  }

  #ready(): void {
    this.#lastFailure = '';
    this.#options.log.info('connected to the server');
  }
}

function create({ url, connectTimeoutMs, silenceTimeoutMs }: ConnectionOptions): Client {
  return createClient({
    url,
    // Who asks while the server is away is told so at once.
    disableOfflineQueue: true,
    // The server's answer to a ping is a sign of life, also while nobody asks anything.
    pingInterval: Math.ceil(silenceTimeoutMs / 2),
    socket: {
      connectTimeout: connectTimeoutMs,
      socketTimeout: silenceTimeoutMs,
      reconnectStrategy: (retries) => Math.min(MAX_RECONNECT_MS, 50 * 2 ** Math.min(retries, 10)) * jitter(),
    },
  });
}

/** Replicas that lost one server at one moment do not all come back at one moment. */
function jitter(): number {
  return 0.5 + Math.random() / 2;
}

/** Error replies of the server that are about the command. Those are not: it loads, it is no primary any more. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && /^(ERR|WRONGTYPE|NOTNUMBER)\b/.test(error.message);
}
