// Hot path. The one way to read a Content-Length value (RFC 9110 section 8.6), whichever protocol it came by.

/** More digits than any body has; fewer than a number can no longer count exactly. */
const MAX_DIGITS = 15;

/** -1 for anything but digits: a list, a sign, an empty value. */
export function parseContentLength(value: string): number {
  if (value.length === 0 || value.length > MAX_DIGITS) return -1;
  let length = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length;
}
