import type { Said } from './answers.ts';
import type { Scenario } from './clients.ts';

const USAGE = { input: 20, cached: 8, output: 7 };

/** What the model says to each kind of request. */
export const ANSWERS: Readonly<Record<Scenario, Said>> = {
  text: { text: 'Fine, thänks 😀', finish: 'stop', usage: USAGE },
  tools: {
    text: 'Looking it up.',
    calls: [
      { id: 'call_2', name: 'weather', input: '{"city":"Rome"}' },
      { id: 'call_3', name: 'weather', input: '{}' },
    ],
    finish: 'tool-calls',
    usage: USAGE,
  },
  images: { text: 'Two cats', finish: 'length', usage: USAGE },
  structured: { text: '{"city":"Oslo"}', finish: 'stop', usage: USAGE },
  reasoning: { reasoning: 'Hmm, well.', signature: 'c2ln', text: 'Done', finish: 'stop', usage: USAGE },
};

export const SCENARIOS: readonly Scenario[] = Object.keys(ANSWERS) as Scenario[];

export const REFUSAL: Said = { text: 'No.', finish: 'content-filter', usage: USAGE };

/** What a dialect without signatures can say of it. */
export function unsigned({ signature: _signature, ...said }: Said): Said {
  return said;
}
