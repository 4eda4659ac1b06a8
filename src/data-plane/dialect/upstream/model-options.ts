import type { LanguageModelV4, SharedV4Warning } from '@ai-sdk/provider';
import { type CallOptions, type FilePart, SETTINGS, settingOf } from '../canonical.ts';
import type { ClientDialect } from '../client/table.ts';
import { assertCarried, fieldOf, filesIn, refusal } from '../fields.ts';
import { isOfAnthropic, modelCarriage } from './model-carriage.ts';

/**
 * What a model of the AI SDK is called with.
 *
 * @throws GatewayError `invalid_request`, for what it has no word for, and for files that it would have to fetch first:
 * the gateway fetches nothing that a client names
 */
export async function toModelOptions(
  options: CallOptions,
  model: LanguageModelV4,
  { fields, prompt }: ClientDialect,
): Promise<CallOptions> {
  assertCarried(options, modelCarriage(model.provider), fields, prompt);
  const supported = await model.supportedUrls;
  const unsupported = filesIn(options.prompt).find((file) => !isSupported(file, supported));
  if (unsupported !== undefined) {
    throw refusal(
      prompt,
      `the model does not fetch files of type ${unsupported.mediaType}: send it as a data: URL`,
    );
  }
  if (settingOf(options, 'parallelToolCalls') !== false || !isOfAnthropic(model.provider)) return options;
  const anthropic = { ...options.providerOptions?.anthropic, disableParallelToolUse: true };
  return { ...options, providerOptions: { ...options.providerOptions, anthropic } };
}

/**
 * A setting that a model passes over is one that the client would not get.
 *
 * @throws GatewayError `invalid_request`, naming the client's field
 */
export function refuseUnsupported(
  warnings: readonly SharedV4Warning[] | undefined,
  { fields }: ClientDialect,
): void {
  const warning = warnings?.find(({ type }) => type === 'unsupported');
  if (warning?.type !== 'unsupported') return;
  const setting = SETTINGS.find((name) => name === warning.feature);
  const field = setting === undefined ? warning.feature : fieldOf(fields, setting);
  throw refusal(field, warning.details ?? 'this model does not support it');
}

type SupportedUrls = Awaited<LanguageModelV4['supportedUrls']>;

function isSupported({ data, mediaType }: FilePart, supported: SupportedUrls | undefined): boolean {
  if (data.type !== 'url') return true;
  const address = data.url.href.toLowerCase();
  return Object.entries(supported ?? {}).some(
    ([pattern, urls]) => isOfType(mediaType, pattern) && urls.some((url) => url.test(address)),
  );
}

/** Patterns are types, or tops of types: `image/*`, `*`. What kind of image stands at an address nobody knows yet. */
function isOfType(mediaType: string, pattern: string): boolean {
  if (pattern === '*' || pattern === '*/*' || pattern === mediaType) return true;
  const [top = ''] = pattern.split('/');
  return mediaType.startsWith(`${top}/`) && (pattern.endsWith('/*') || mediaType.endsWith('/*'));
}
