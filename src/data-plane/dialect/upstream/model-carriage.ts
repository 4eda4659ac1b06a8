import { type CarriageTable, kept, mapped, notCarried } from '../fields.ts';

const AS_IT_IS = kept('as it is; a model that does not support it refuses the call');
const PARALLEL = 'the model has no setting for parallel calls';
const VERBOSITY = 'the model has no verbosity';

/** What a model of the AI SDK can carry: its form is the canonical one. */
export const MODEL_CARRIAGE: CarriageTable = Object.freeze({
  settings: {
    maxOutputTokens: AS_IT_IS,
    temperature: AS_IT_IS,
    topP: AS_IT_IS,
    topK: AS_IT_IS,
    stopSequences: AS_IT_IS,
    seed: AS_IT_IS,
    presencePenalty: AS_IT_IS,
    frequencyPenalty: AS_IT_IS,
    responseFormat: AS_IT_IS,
    reasoning: AS_IT_IS,
    tools: AS_IT_IS,
    toolChoice: AS_IT_IS,
    parallelToolCalls: mapped("provider options of OpenAI's and Anthropic's packages; refused elsewhere"),
    textVerbosity: mapped("provider options of OpenAI's packages; refused elsewhere"),
  },
  parts: {
    image: kept('as it is; an address only where the model fetches it'),
    pdf: kept('the same'),
    audio: kept('the same'),
    textFile: kept('the same'),
    otherFile: kept('the same'),
    uploadedFile: notCarried('files that were uploaded to another provider are not there'),
  },
});

/** The table for the models of one package. @param provider as the model calls it, for example `google.generative-ai` */
export function modelCarriage(provider: string): CarriageTable {
  const isOpenAi = isOfOpenAi(provider);
  const settings = {
    ...MODEL_CARRIAGE.settings,
    ...(isOpenAi || isOfAnthropic(provider) ? {} : { parallelToolCalls: notCarried(PARALLEL) }),
    ...(isOpenAi ? {} : { textVerbosity: notCarried(VERBOSITY) }),
  };
  return { settings, parts: MODEL_CARRIAGE.parts };
}

export function isOfOpenAi(provider: string): boolean {
  return /^(openai|azure)\b/.test(provider);
}

export function isOfAnthropic(provider: string): boolean {
  return /\banthropic\b/.test(provider);
}
