const LONGEST_SHOWN = 80;
const SECRET_NAME =
  /key|secret|token|passw|passphrase|credential|auth|cookie|private|dsn|signature|connection.?string/i;

/** Collects what is wrong (the gateway does not start) and what is odd (it does), one line each. */
export interface Report {
  readonly problems: string[];
  readonly warnings: string[];
}

/** True for a name whose value may be a secret. Errs on the side of hiding. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/** A value as problems show it: on one line, not too long; lists and mappings by their kind only. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' && value !== null ? 'a mapping' : String(value);
}

/** {@link show} for what may be a secret: says what kind of value it is. */
export function showHidden(value: unknown): string {
  if (typeof value === 'string') return value.trim() === '' ? 'a blank text' : 'a text (not shown)';
  return typeof value === 'number' ? 'a number (not shown)' : show(value);
}

/** A URL without the parts that may hold a secret. */
export function showUrl(value: unknown): string {
  if (typeof value !== 'string') return show(value);
  const url = URL.parse(value);
  if (url === null) return /[@?#]/.test(value) ? 'a text that is no URL (not shown)' : show(value);
  if (url.host === '') return `a URL of scheme "${url.protocol}"`;
  const hides = url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '';
  return (
    show(`${url.protocol}//${url.host}${url.pathname}`) + (hides ? ' with parts that are not shown' : '')
  );
}

/** A place in a mapping, as `model_list[0].litellm_params.model`. */
export function showPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text === '' ? String(part) : `${text}.${String(part)}`;
  }, '');
}

function quote(text: string): string {
  return JSON.stringify(text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text);
}
