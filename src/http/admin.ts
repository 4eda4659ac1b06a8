import { GatewayError, isGatewayError, toErrorBody } from '../errors.ts';
import type { ReloadFailedError } from '../lifecycle/abort.ts';
import type { PluginView } from '../lifecycle/view.ts';
import { readBody } from '../wire/body.ts';
import { sendJson } from '../wire/error-response.ts';
import { isJsonType, mediaType } from '../wire/headers.ts';
import type { GatewayRequest } from '../wire/message.ts';
import { notFound } from './admin-key.ts';
import { checkAnnouncedLength } from './guards.ts';
import type { ServedResponse } from './messages.ts';
import { allow, type Handler, readOnly } from './own-paths.ts';
import type { PluginControl } from './types.ts';

const PREFIX = '/admin/plugins';
/** Bytes of a request body. */
const BODY_LIMIT = 16_384;
const MAX_CAUSE_LENGTH = 500;
const DEFAULT_CAUSE = 'quarantined by an operator';

/** Looks a path up in the admin API; `null`: not one of its. The caller has checked the key. */
export type AdminTable = (path: string) => Handler | null;

/** The admin API. See README.md, "Paths". */
export function createAdminTable(plugins: PluginControl): AdminTable {
  return (path) => {
    if (path !== PREFIX && !path.startsWith(`${PREFIX}/`)) return null;
    const [name, action, ...rest] = path
      .slice(PREFIX.length + 1)
      .split('/')
      .map(decode);
    if (rest.length > 0) return notHere;
    if (action === 'reload') return reload(plugins, name ?? '');
    if (action !== undefined) return ACTIONS.has(action) ? act(plugins, name ?? '', action) : notHere;
    return name === undefined || name === '' ? list(plugins) : inspect(plugins, name);
  };
}

type Act = (plugins: PluginControl, name: string, req: GatewayRequest) => Promise<PluginView>;

const ACTIONS: ReadonlyMap<string, Act> = new Map<string, Act>([
  ['release', (plugins, name) => plugins.release(name)],
  ['quarantine', async (plugins, name, req) => plugins.quarantine(name, await readCause(req))],
]);

function list(plugins: PluginControl): Handler {
  return readOnly((_req, res) => sendJson(res, 200, plugins.list()));
}

/** `POST /admin/plugins/reload` is about all plugins; a plugin of that name can still be looked at. */
function inspect(plugins: PluginControl, name: string): Handler {
  const get = readOnly((_req, res) => {
    const view = plugins.get(name);
    if (view === null) throw new GatewayError('not_found', `There is no plugin ${JSON.stringify(name)}`);
    sendJson(res, 200, view);
  });
  if (name !== 'reload') return get;
  return async (req, res) => {
    if (req.method !== 'POST') return get(req, res);
    res.setHeader('cache-control', 'no-store');
    await answerReload(res, async () => plugins.reload(null));
  };
}

function act(plugins: PluginControl, name: string, action: string): Handler {
  return async (req, res) => {
    allow(req, res, ['POST']);
    const view = await ACTIONS.get(action)?.(plugins, name, req);
    res.setHeader('cache-control', 'no-store');
    sendJson(res, 200, view);
  };
}

/** The plugin as it is now, and what else has changed with it. */
function reload(plugins: PluginControl, name: string): Handler {
  return async (req, res) => {
    allow(req, res, ['POST']);
    res.setHeader('cache-control', 'no-store');
    await answerReload(res, async () => {
      const report = await plugins.reload(name);
      return { ...plugins.get(name), ...report };
    });
  };
}

/** A reload that failed is told with what each plugin did, beside the error that all clients understand. */
async function answerReload(res: ServedResponse, run: () => Promise<object>): Promise<void> {
  try {
    sendJson(res, 200, await run());
  } catch (error) {
    if (!isReloadFailure(error)) throw error;
    sendJson(res, error.status, { ...toErrorBody(error), failed: error.failed });
  }
}

function isReloadFailure(error: unknown): error is ReloadFailedError {
  return isGatewayError(error) && error.code === 'plugin_reload_failed';
}

function notHere(req: GatewayRequest, _res: ServedResponse): never {
  throw notFound(req);
}

/** A body is optional: `{"cause": "…"}`, 1 to 500 characters. */
async function readCause(req: GatewayRequest): Promise<string> {
  checkAnnouncedLength(req, BODY_LIMIT);
  const bytes = await readBody(req, BODY_LIMIT);
  if (bytes.length === 0) return DEFAULT_CAUSE;
  if (!isJsonType(mediaType(req.headers['content-type']))) {
    throw new GatewayError('unsupported_media_type', 'Expected the content type application/json');
  }
  return parseCause(bytes);
}

function parseCause(bytes: Buffer): string {
  let body: unknown;
  try {
    body = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new GatewayError('invalid_json', 'The request body is not valid JSON', { cause });
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw badCause('a JSON object');
  if (!Object.hasOwn(body, 'cause')) return DEFAULT_CAUSE;
  const { cause } = body as { cause?: unknown };
  if (typeof cause !== 'string' || cause.trim() === '' || cause.length > MAX_CAUSE_LENGTH) {
    throw badCause(`"cause" to be a string of 1 to ${MAX_CAUSE_LENGTH} characters`);
  }
  return cause;
}

function badCause(expected: string): GatewayError {
  return new GatewayError('invalid_request', `Expected ${expected}`, { param: 'cause' });
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new GatewayError('invalid_request', 'The path has a percent sign that encodes nothing', { cause });
  }
}
