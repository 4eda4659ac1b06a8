import type { Detector, Stretch } from './finding.ts';

/** Digits, of which groups may be set apart by one space or hyphen. */
const DIGITS = /(?<!\d)\d(?:[ -]?\d)*/g;

/** Prefixes and lengths of the large issuers' numbers (ISO/IEC 7812-1). */
const ISSUERS: readonly (readonly [prefix: RegExp, lengths: readonly number[]])[] = [
  [/^4/, [13, 16, 19]],
  [/^(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, [16]],
  [/^3[47]/, [15]],
  [/^3(?:0[0-5]|[68])/, [14]],
  [/^(?:6011|65|64[4-9]|35)/, [16]],
  [/^62/, [16, 17, 18, 19]],
  [/^(?:5018|5020|5038|5893|6304|6759|676[1-3])/, [12, 13, 14, 15, 16, 17, 18, 19]],
];
const LONGEST_CARD = 19;

/** Card numbers: an issuer's prefix and length, and the check digit of Luhn. */
export const findCreditCards: Detector = function* (text, from) {
  const search = new RegExp(DIGITS);
  search.lastIndex = from;
  for (let match = search.exec(text); match !== null; match = search.exec(text)) {
    yield* cardsIn(match[0], match.index);
  }
};

/** Numbers that stand before or behind may look like groups of the card's: it begins and ends with a group. */
function* cardsIn(digits: string, offset: number): Generator<Stretch> {
  const groups = [...digits.matchAll(/\d+/g)];
  for (let first = 0; first < groups.length; first++) {
    const found = cardFrom(groups, first);
    if (found === null) continue;
    const { start, last } = found;
    const end = groups[last] as RegExpExecArray;
    yield { start: offset + start, end: offset + end.index + end[0].length };
    first = last;
  }
}

function cardFrom(
  groups: readonly RegExpExecArray[],
  first: number,
): { readonly start: number; readonly last: number } | null {
  let number = '';
  for (let last = first; last < groups.length && number.length < LONGEST_CARD; last++) {
    number += groups[last]?.[0] ?? '';
    if (number.length <= LONGEST_CARD && isCard(number)) return { start: groups[first]?.index ?? 0, last };
  }
  return null;
}

function isCard(number: string): boolean {
  return (
    ISSUERS.some(([prefix, lengths]) => lengths.includes(number.length) && prefix.test(number)) &&
    hasLuhnDigit(number)
  );
}

/** ISO/IEC 7812-1, annex B. */
function hasLuhnDigit(number: string): boolean {
  let sum = 0;
  for (let at = 0; at < number.length; at++) {
    const digit = Number(number[number.length - 1 - at]);
    const doubled = at % 2 === 1 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}

/** Lengths by country. Source: the SWIFT IBAN registry. */
const IBAN_LENGTHS: ReadonlyMap<string, number> = new Map(
  Object.entries({
    15: 'NO',
    16: 'BE',
    18: 'DK FI FK FO GL NL SD',
    19: 'MK SI',
    20: 'AT BA EE KZ LT LU MN XK',
    21: 'CH CR HR LI LV',
    22: 'BG BH DE GB GE IE ME RS VA',
    23: 'AE GI IL IQ OM SO TL',
    24: 'AD CZ ES MD PK RO SA SE SK TN VG',
    25: 'LY PT ST',
    26: 'IS TR',
    27: 'BI DJ FR GR IT MC MR SM',
    28: 'AL AZ BY CY DO GT HU LB NI PL SV',
    29: 'BR EG PS QA UA',
    30: 'JO KW MU YE',
    31: 'MT SC',
    32: 'LC',
    33: 'RU',
  }).flatMap(([length, countries]) =>
    countries.split(' ').map((country): [string, number] => [country, Number(length)]),
  ),
);

const IBAN_START = /(?<![a-z\d])[a-z]{2}\d{2}/gi;

/** IBANs: the length of their country and the check digits of ISO 13616, in groups or not. */
export const findIbans: Detector = function* (text, from) {
  const search = new RegExp(IBAN_START);
  search.lastIndex = from;
  for (let match = search.exec(text); match !== null; match = search.exec(text)) {
    const length = IBAN_LENGTHS.get(match[0].slice(0, 2).toUpperCase());
    const end = length === undefined ? null : ibanEnd(text, match.index, length);
    if (end === null) continue;
    yield { start: match.index, end };
    search.lastIndex = end;
  }
};

function ibanEnd(text: string, start: number, length: number): number | null {
  const rest = new RegExp(`(?:[a-z\\d][ -]?){${length - 1}}[a-z\\d](?![a-z\\d])`, 'iy');
  rest.lastIndex = start;
  const found = rest.exec(text)?.[0];
  return found !== undefined && hasIbanDigits(found.replaceAll(/[ -]/g, '')) ? start + found.length : null;
}

function hasIbanDigits(iban: string): boolean {
  const moved = iban.slice(4) + iban.slice(0, 4);
  const digits = moved.toUpperCase().replaceAll(/[A-Z]/g, (letter) => String(letter.charCodeAt(0) - 55));
  return BigInt(digits) % 97n === 1n;
}
