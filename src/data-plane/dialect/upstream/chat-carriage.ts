import { type CarriageTable, kept, mapped, notCarried } from '../fields.ts';

/** What an upstream that speaks chat completions can carry. */
export const CHAT_CARRIAGE: CarriageTable = Object.freeze({
  settings: {
    maxOutputTokens: mapped('`max_completion_tokens` at OpenAI and Azure, else `max_tokens`'),
    temperature: kept('`temperature`'),
    topP: kept('`top_p`'),
    topK: notCarried('chat completions have no `top_k`'),
    stopSequences: kept('`stop`'),
    seed: kept('`seed`'),
    presencePenalty: kept('`presence_penalty`'),
    frequencyPenalty: kept('`frequency_penalty`'),
    responseFormat: kept('`response_format`'),
    reasoning: mapped('`reasoning_effort`; `max` becomes `xhigh`'),
    tools: kept('`tools`; examples of inputs become a part of the description'),
    toolChoice: kept('`tool_choice`'),
    parallelToolCalls: kept('`parallel_tool_calls`'),
    textVerbosity: kept('`verbosity`'),
  },
  parts: {
    image: kept('`image_url`; in the result of a tool: in a user message behind the results'),
    pdf: mapped('`file`, in base64; one that is given by its address is refused'),
    audio: kept('`input_audio`, wav and mp3'),
    textFile: mapped('`text`'),
    otherFile: notCarried('chat completions take images, PDF, audio and text'),
    uploadedFile: notCarried('files that were uploaded to another provider are not there'),
  },
});
