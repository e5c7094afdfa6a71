/** The first byte of every record: what it is. Part of the snapshot format and of the hash. */
export const RecordKind = {
  clock: 0,
  node: 1,
  message: 2,
  session: 3,
  subscription: 4,
  queuePart: 5,
  retained: 6,
  shareGroup: 7,
} as const
