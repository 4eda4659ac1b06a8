import { Socket } from 'node:net';
import { installHostModule } from '../../discovery/host-module.ts';
import { Channel } from '../channel/channel.ts';
import { PluginRuntime } from './runtime.ts';

/** The pipe to the gateway, given as the third file after the standard ones. */
const CHANNEL_FD = 3;
/** The gateway is believed: it has the plugin in its hand anyway. */
const NO_LIMITS = {
  messageBytes: 0xffff_ffff,
  framesPerSecond: Infinity,
  callsAtOnce: Infinity,
  loopShare: 1,
};

installHostModule();
// Through Duplex's own methods: the plugin may patch what it likes, but only after this has been made.
const channel: Channel = new Channel(new Socket({ fd: CHANNEL_FD, readable: true, writable: true }), {
  side: 1,
  limits: NO_LIMITS,
  serve: (method, params, call) => runtime.serve(method, params, call),
  hear: (notice) => runtime.hear(notice),
  // Without its gateway the process is of no use, and nobody would ever end it.
  onLost: () => process.exit(0),
});
const runtime: PluginRuntime = new PluginRuntime(channel);

process.on('uncaughtException', (error) => runtime.reportLate(error));
process.on('unhandledRejection', (error) => runtime.reportLate(error));
