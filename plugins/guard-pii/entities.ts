import { type Detector, matching, type Stretch } from './finding.ts';
import { findCreditCards, findIbans } from './numbers.ts';

const LOCAL_PART = /[\p{L}\p{N}._%+-]/u;
const DOMAIN = /(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.){1,8}\p{L}{2,24}/uy;
/** RFC 5321, section 4.5.3.1.1. */
const LONGEST_LOCAL_PART = 64;

/** Begins with the `@`: what may stand before it stands nearly everywhere. */
function* findEmails(text: string, from: number): Generator<Stretch> {
  const domain = new RegExp(DOMAIN);
  for (let at = text.indexOf('@', from); at !== -1; at = text.indexOf('@', at + 1)) {
    const start = startOfLocalPart(text, at, from);
    domain.lastIndex = at + 1;
    const found = start === at ? undefined : domain.exec(text)?.[0];
    if (found !== undefined) yield { start, end: at + 1 + found.length };
  }
}

function startOfLocalPart(text: string, at: number, from: number): number {
  let start = at;
  const earliest = Math.max(from, at - LONGEST_LOCAL_PART);
  while (start > earliest && LOCAL_PART.test(text[start - 1] as string)) start--;
  return start;
}

/** Tokens of services that mark them, JSON Web Tokens, and private keys. */
function findApiKeys(): Detector {
  const tokens = [
    'sk-[\\w-]{20,}',
    'rk_(?:live|test)_\\w{16,}',
    'sk_(?:live|test)_\\w{16,}',
    'gh[pousr]_\\w{30,}',
    'github_pat_\\w{30,}',
    'glpat-[\\w-]{20,}',
    'npm_\\w{30,}',
    'hf_\\w{30,}',
    'xox[abeoprs]-[\\w-]{10,}',
    'A(?:KI|SI)A[A-Z\\d]{16}',
    'AIza[\\w-]{35}',
    'SG\\.[\\w-]{16,}\\.[\\w-]{16,}',
    'eyJ[\\w-]{10,}(?:\\.[\\w-]*){0,2}',
  ];
  return matching(new RegExp(`(?<![\\w-])(?:${tokens.join('|')})|${PRIVATE_KEY}`, 'g'));
}

/** RFC 7468; line breaks may be those of a string in JSON. A key that goes on, or was cut, need not have its end. */
const LINE_BREAK = '(?:\\s|\\\\[nr]){1,4}';
const PRIVATE_KEY = [
  '-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----',
  `(?:${LINE_BREAK}[A-Za-z\\d+/=]{24,80}){0,200}`,
  `(?:${LINE_BREAK}[A-Za-z\\d+/=]{1,23})?`,
  `(?:${LINE_BREAK}-----END [A-Z ]{0,30}PRIVATE KEY-----)?`,
].join('');

function findSocialSecurityNumbers(): Detector {
  return matching(/(?<![\d-])(?!000|666|9)\d{3}([ -])(?!00)\d{2}\1(?!0000)\d{4}(?![\d-])/g);
}

function findAddresses(): Detector {
  const byte = '(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)';
  return matching(new RegExp(`(?<![\\w.])${byte}(?:\\.${byte}){3}(?!\\.?\\w)`, 'g'));
}

const PHONE_CANDIDATE =
  /(?<![\p{L}\p{N}_.+-])(?:\+|\(\+?(?=\d{1,5}\)))?\d[\d ().\-/]{6,22}\d(?![\p{L}\p{N}_-])/gu;

/**
 * International numbers, those of North America, and national ones with a leading zero and groups. Other numbers may
 * stand before or behind one: it begins with a group and ends with one.
 */
const findPhones: Detector = function* (text, from) {
  const search = new RegExp(PHONE_CANDIDATE);
  search.lastIndex = from;
  for (let match = search.exec(text); match !== null; match = search.exec(text)) {
    const phone = longestPhone(match[0]);
    if (phone !== null) yield { start: match.index, end: match.index + phone.length };
    search.lastIndex = match.index + (phone?.length ?? 1);
  }
};

function longestPhone(candidate: string): string | null {
  for (let end = candidate.length; end > 0; end = candidate.slice(0, end).search(/\D+\d+$/)) {
    const text = candidate.slice(0, end);
    if (isPhone(text)) return text;
  }
  return null;
}

function isPhone(text: string): boolean {
  const digits = text.replaceAll(/\D/g, '');
  if (/^\(?(?:\+|00)/.test(text)) return digits.length >= 8 && digits.length <= 17;
  if (/^(?:1[ .-])?\(?[2-9]\d{2}\)?[ .-]?[2-9]\d{2}[ .-]\d{4}$/.test(text)) return true;
  return /^\(?0\d/.test(text) && /\d[ ()\-/]+\d/.test(text) && digits.length >= 9 && digits.length <= 13;
}

/** The kinds of data that need no configuration. Where two overlap the first one here counts. */
export const ENTITIES: ReadonlyMap<string, Detector> = new Map([
  ['api_key', findApiKeys()],
  ['email', findEmails],
  ['iban', findIbans],
  ['credit_card', findCreditCards],
  ['us_ssn', findSocialSecurityNumbers()],
  ['ipv4', findAddresses()],
  ['phone', findPhones],
]);
