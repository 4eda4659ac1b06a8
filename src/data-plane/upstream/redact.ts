import type { DeploymentConfig } from '../../config/types.ts';

/** Shorter values would turn ordinary words of a message into gaps. */
const MIN_SECRET_LENGTH = 6;
const REDACTED = '[redacted]';

/** Keys of the common shapes, also where a provider shows only a part of one (`sk-ab***yz`). */
const KEY_SHAPES = /\b(?:sk|pk|gsk|rk|xai|AIza)[-_]?[A-Za-z0-9][\w*.-]{7,}|\bBearer\s+[^\s"',}]+/g;

/** Takes secrets out of a text that comes from an upstream. */
export type Redact = (text: string) => string;

/** A {@link Redact} for the credentials of one deployment; anything that looks like a key goes too. */
export function createRedact(secrets: readonly string[]): Redact {
  const exact = secrets.filter((secret) => secret.length >= MIN_SECRET_LENGTH);
  return (text) => {
    let clean = text;
    for (const secret of exact) clean = clean.replaceAll(secret, REDACTED);
    return clean.replace(KEY_SHAPES, REDACTED);
  };
}

/** The credentials of a deployment. Operators put keys into `extra_headers` too. */
export function secretsOf({ apiKey, headers }: Pick<DeploymentConfig, 'apiKey' | 'headers'>): string[] {
  const values = Object.values(headers).map((value) => value.replace(/^Bearer\s+/i, ''));
  return apiKey === null ? values : [apiKey.reveal(), ...values];
}
