import {
  GatewayPlugin,
  type PluginApp,
  type PluginContext,
  type PluginMetadata,
} from 'routeiq-gateway/plugin';
import { AnswerStore } from './answer-store.ts';
import { isWhole } from './is-whole.ts';
import { RequestNotes } from './request-notes.ts';

/** Answers a request that has been answered before. See README.md. */
export default class CachePlugin extends GatewayPlugin {
  override readonly metadata: PluginMetadata = {
    name: 'cache',
    version: '1.0.0',
    capabilities: ['MIDDLEWARE'],
    priority: 2000,
    description: 'Answers a request that has been answered before',
  };

  override startup(app: PluginApp, { settings, storage, metrics }: PluginContext): void {
    const surfaces = new Set<string>(settings.get<readonly string[]>('surfaces'));
    const answers = new AnswerStore({
      storage,
      ttlMs: settings.get<number>('ttl_seconds') * 1000,
      isShared: settings.get<boolean>('shared'),
      maxEntries: settings.get<number>('max_entries'),
      maxEntryBytes: settings.get<number>('max_entry_bytes'),
    });
    const notes = new RequestNotes();
    const lookUps = metrics.counter('lookups', { help: 'Look-ups by result', labelNames: ['result'] });

    app.use('/v1', (req, res, next) => {
      notes.take(req, res);
      next();
    });
    app.llm({
      async onRequest(request) {
        if (!surfaces.has(request.surface) || !notes.mayRead(request.id)) return;
        const found = await answers.find(request);
        const result = found === null ? 'miss' : 'hit';
        lookUps.inc({ result });
        notes.tell(request.id, result);
        return found === null ? undefined : { response: found };
      },
      async onResponse(request, { body }) {
        if (!surfaces.has(request.surface) || !notes.mayStore(request.id)) return;
        if (isWhole(request.surface, body)) await answers.keep(request, body);
      },
    });
  }
}
