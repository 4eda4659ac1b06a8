import type { IncomingMessage, ServerResponse } from 'node:http';
import helmet from 'helmet';

/** What Node hands over when a head is written: `setHeader`'s table, or what `writeHead` was given. */
export type HeadFields = Readonly<Record<string, unknown>> | readonly unknown[] | null | undefined;

/** Headers that every answer carries, as the text that goes out. */
export class ConstantHeaders {
  /** Name in lower case to `Name: value\r\n`. */
  readonly #lines: ReadonlyMap<string, string>;
  /** All lines. */
  readonly text: string;

  constructor(headers: ReadonlyMap<string, string>) {
    const lines = [...headers].map(([name, value]): [string, string] => [
      name.toLowerCase(),
      `${name}: ${value}\r\n`,
    ]);
    this.#lines = new Map(lines);
    this.text = [...this.#lines.values()].join('');
  }

  /** The lines that a head needs besides `fields`: what a handler has set itself wins. */
  beside(fields: HeadFields): string {
    if (!this.#mayOverlap(fields)) return this.text;
    const set = new Set(fieldNames(fields));
    return [...this.#lines].map(([name, line]) => (set.has(name) ? '' : line)).join('');
  }

  /** Once per answer, so without an allocation. May say yes where {@link fieldNames} then finds nothing. */
  #mayOverlap(fields: HeadFields): boolean {
    if (fields === null || fields === undefined) return false;
    if (Array.isArray(fields)) return Array.isArray(fields[0]) || this.#hasAny(fields);
    for (const name in fields) if (this.#lines.has(name.toLowerCase())) return true;
    return false;
  }

  #hasAny(namesAndValues: readonly unknown[]): boolean {
    for (let i = 0; i < namesAndValues.length; i += 2) {
      if (this.#lines.has(lowerCase(namesAndValues[i]))) return true;
    }
    return false;
  }
}

/**
 * Helmet's headers, asked for once: they never change, and setting a dozen of them per answer costs ten times the
 * rest of the head. Two defaults are moved: a gateway that serves plain HTTP cannot have browsers upgrade requests
 * (`upgrade-insecure-requests`), nor speak for the sub-domains of whoever runs it (`includeSubDomains`).
 */
export function securityHeaders(): ConstantHeaders {
  const middleware = helmet({
    contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } },
    strictTransportSecurity: { includeSubDomains: false },
  });
  const headers = new Map<string, string>();
  const recorder = {
    setHeader: (name: string, value: string) => headers.set(name, value),
    removeHeader: (name: string) => headers.delete(name),
  };
  let failure: unknown;
  middleware({} as IncomingMessage, recorder as unknown as ServerResponse, (error?: unknown) => {
    failure = error;
  });
  if (failure !== undefined) throw failure;
  return new ConstantHeaders(headers);
}

function fieldNames(fields: HeadFields): string[] {
  if (fields === null || fields === undefined) return [];
  if (!Array.isArray(fields)) return Object.keys(fields).map(lowerCase);
  if (Array.isArray(fields[0])) return fields.map((entry) => lowerCase(entry[0]));
  return fields.filter((_, index) => index % 2 === 0).map(lowerCase);
}

function lowerCase(name: unknown): string {
  return String(name).toLowerCase();
}
