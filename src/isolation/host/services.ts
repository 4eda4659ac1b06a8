import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { OutboundInit, PluginContext } from '../../plugin-api/context.ts';
import type { MetricOptions } from '../../plugin-api/metrics.ts';
import type { Channel } from '../channel/channel.ts';
import { RubbishError } from '../channel/frames.ts';
import type { ServedCall } from '../channel/serving.ts';

type Fields = Readonly<Record<string, unknown>>;

const STORAGE_METHODS: ReadonlySet<unknown> = new Set([
  'get',
  'set',
  'delete',
  'increment',
  'compareAndSet',
  'list',
]);
const METRIC_METHODS: Readonly<Record<string, readonly string[]>> = {
  counter: ['inc'],
  gauge: ['set', 'inc', 'dec'],
  histogram: ['observe'],
};
const LOG_LEVELS: ReadonlySet<unknown> = new Set([
  'error',
  'warn',
  'info',
  'http',
  'verbose',
  'debug',
  'silly',
]);

/** What a plugin's process may ask of the gateway: what its context offers, and nothing else. */
export class Services {
  readonly #context: PluginContext;
  readonly #channel: () => Channel;

  constructor(context: PluginContext, channel: () => Channel) {
    this.#context = context;
    this.#channel = channel;
  }

  /** @throws RubbishError for what no plugin asks through its context; and what the context throws */
  async serve(method: string, params: unknown, call: ServedCall): Promise<unknown> {
    const { validateOutboundUrl, tools } = this.#context;
    switch (method) {
      case 'validateOutboundUrl':
        return validateOutboundUrl(String(params));
      case 'fetch':
        return this.#fetch(fieldsOf(params), call);
      case 'storage':
        return this.#storage(fieldsOf(params));
      case 'tools.list':
        return tools.list();
      case 'tools.call': {
        const { name, args } = fieldsOf(params);
        return tools.call(String(name), args as Fields);
      }
      default:
        throw new RubbishError(`saw a call of ${JSON.stringify(method)}, which is none of the context's`);
    }
  }

  hear(notice: string, params: unknown): void {
    if (notice === 'log') this.#log(fieldsOf(params));
    else if (notice === 'metric') this.#metric(fieldsOf(params));
    else if (notice === 'toolsChanged') this.#context.tools.changed();
    else throw new RubbishError(`saw the notice ${JSON.stringify(notice)}, which is none of the context's`);
  }

  #storage({ method, args }: Fields): Promise<unknown> {
    if (!STORAGE_METHODS.has(method) || !Array.isArray(args))
      throw new RubbishError('saw a call of no storage method');
    const storage = this.#context.storage as unknown as Record<
      string,
      (...values: unknown[]) => Promise<unknown>
    >;
    const values = args.map((value: unknown) => (Array.isArray(value) ? value[0] : undefined));
    return (storage[String(method)] as (...values: unknown[]) => Promise<unknown>)(...values);
  }

  #log({ level, info }: Fields): void {
    if (!LOG_LEVELS.has(level)) throw new RubbishError('saw a log line of no level');
    const { level: _level, message, ...rest } = fieldsOf(info);
    this.#context.logger.log(String(level), { message: message as string, ...rest });
  }

  #metric({ kind, name, options, method, values }: Fields): void {
    if (METRIC_METHODS[String(kind)]?.includes(String(method)) !== true || !Array.isArray(values))
      throw new RubbishError('saw a call of no metric');
    const { metrics } = this.#context;
    const metric: unknown = metrics[kind as 'counter'](String(name), options as MetricOptions);
    (metric as Record<string, (...values: unknown[]) => void>)[String(method)]?.(...values);
  }

  /** The answer's head is an event, so that its stream is taken before anything of it arrives. */
  async #fetch(
    { url, options, headers, stream, isStream }: Fields,
    { signal, emit }: ServedCall,
  ): Promise<null> {
    const channel = this.#channel();
    const incoming = stream === null ? null : channel.accept(stream);
    const body =
      incoming === null ? null : isStream === true ? Readable.toWeb(incoming) : await collect(incoming);
    const { method, redirect } = fieldsOf(options);
    const init = { method, redirect, headers, body, signal };
    const given = Object.fromEntries(Object.entries(init).filter(([, value]) => value !== undefined));
    const answer = await this.#context.fetch(String(url), given as OutboundInit);
    const out = answer.body === null ? null : channel.open();
    const { status, statusText, redirected } = answer;
    emit('head', {
      url: answer.url,
      redirected,
      status,
      statusText,
      headers: [...answer.headers],
      stream: out?.id ?? null,
    });
    if (out !== null && answer.body !== null)
      pipeline(Readable.fromWeb(answer.body as never), out).catch(() => undefined);
    return null;
  }
}

async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES)
      throw new TypeError(`fetch: the body has more than ${MAX_BODY_BYTES} bytes; send a stream`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const MAX_BODY_BYTES = 67_108_864;

function fieldsOf(value: unknown): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw new RubbishError('saw something else than an object');
}
