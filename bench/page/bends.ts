/** Where each cost curve bends, and why: read off profiles by hand, so to be looked at again when a curve has changed. */
export const bends: Readonly<Record<string, string>> = {}
