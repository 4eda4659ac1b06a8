import type { IncomingMessage, ServerResponse } from 'node:http';

/** What the client has said about caching, and where to tell it what was done. */
interface Note {
  readonly res: ServerResponse;
  readonly mayRead: boolean;
  readonly mayStore: boolean;
}

/**
 * Hooks see neither the headers of a request nor those of its answer; middleware does. Notes are found by the request's
 * id. A client may send an id that another has as well: all that it can spoil by that is the use of the cache.
 */
export class RequestNotes {
  readonly #notes = new Map<string, Note>();

  /** Notes what RFC 9111 (section 5.2.1) lets a client ask for. */
  take(req: IncomingMessage & { readonly id?: string }, res: ServerResponse): void {
    const { id } = req;
    if (id === undefined) return;
    const control = req.headers['cache-control']?.toLowerCase() ?? '';
    const mayStore = !/\bno-store\b/.test(control);
    const mayRead = mayStore && !/\bno-cache\b/.test(control);
    const note = { res, mayRead, mayStore };
    this.#notes.set(id, note);
    res.once('close', () => {
      if (this.#notes.get(id) === note) this.#notes.delete(id);
    });
  }

  mayRead(id: string): boolean {
    return this.#notes.get(id)?.mayRead ?? true;
  }

  mayStore(id: string): boolean {
    return this.#notes.get(id)?.mayStore ?? true;
  }

  /** In the header `x-cache`. */
  tell(id: string, result: 'hit' | 'miss'): void {
    const res = this.#notes.get(id)?.res;
    if (res !== undefined && !res.headersSent) res.setHeader('x-cache', result);
  }
}
