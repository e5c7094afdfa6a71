/**
 * Whether text that is about to be shown may hold a secret: a key pasted where its path belongs, or beside a syntax error.
 * Errs on the side of silence; a place in a file is found by line and column as well.
 */

/** PEM, or 40 characters and more of hexadecimal or base64 without a break: keys, tokens and password records. */
const secretLike = /-----BEGIN |[A-Za-z0-9+/=_-]{40}/

/** For text out of a file. */
export function mayHoldSecret(text: string): boolean {
  return secretLike.test(text)
}

/** For a value in the place of a path, where long names are common: PEM, or hexadecimal as long as a key. */
export function looksLikeKey(value: unknown): boolean {
  return typeof value === 'string' && /-----BEGIN |^(0x)?[0-9a-fA-F]{64,}$/.test(value)
}
