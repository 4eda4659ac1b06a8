import type { AuthRequest } from 'routeiq-gateway/plugin';

/** Where clients of OpenAI's, Anthropic's and Azure's APIs put their key; in this order. */
export function credentialsOf(request: AuthRequest): readonly string[] {
  const bearer = /^Bearer +([^ ].*)$/i.exec(request.get('authorization') ?? '')?.[1];
  const found = [bearer, request.get('x-api-key'), request.get('api-key')];
  return found.filter((credential) => credential !== undefined && credential !== '') as string[];
}
