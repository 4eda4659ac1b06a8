import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import type { TestContext } from 'node:test';
import { Channel, type ChannelLimits, type ChannelOptions } from '../../src/isolation/channel/channel.ts';

/** What an end of a channel may send: anything, at any rate. */
export const NO_LIMITS: ChannelLimits = {
  messageBytes: 1_048_576,
  framesPerSecond: Number.POSITIVE_INFINITY,
  callsAtOnce: Number.POSITIVE_INFINITY,
  loopShare: 1,
};

interface Ends {
  readonly near?: Partial<ChannelOptions>;
  readonly far?: Partial<ChannelOptions>;
}

/** Two channels that talk to each other. One that is lost is broken, as its owner has to. */
export function channelPair({ near, far }: Ends): { readonly near: Channel; readonly far: Channel } {
  const [one, other] = duplexPair();
  return { near: createEnd(one, 0, near), far: createEnd(other, 1, far) };
}

/** The same over a connection, which is read in large pieces as pipes between processes are. */
export async function connectedPair(
  t: TestContext,
  { near, far }: Ends,
): Promise<{ readonly near: Channel; readonly far: Channel }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const one = connect(server.address() as { port: number });
  const [other] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    one.destroy();
    other.destroy();
    server.close();
  });
  return { near: createEnd(one, 0, near), far: createEnd(other, 1, far) };
}

/** A channel, and the stream that the other end would write to and read from. */
export function channelAndPipe(options: Partial<ChannelOptions>): {
  readonly channel: Channel;
  readonly pipe: Duplex;
} {
  const [one, pipe] = duplexPair();
  pipe.on('error', () => undefined);
  return { channel: createEnd(one, 0, options), pipe };
}

function createEnd(duplex: Duplex, side: 0 | 1, options: Partial<ChannelOptions> = {}): Channel {
  const channel: Channel = new Channel(duplex, {
    side,
    limits: NO_LIMITS,
    serve: () => undefined,
    hear: () => undefined,
    ...options,
    onLost: (reason) => {
      channel.break(reason);
      options.onLost?.(reason);
    },
  });
  return channel;
}
