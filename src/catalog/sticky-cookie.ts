// The name of the cookie by which clients stick to a machine of a service. Browsers send cookies to every port of a host, so services with other
// machines need another one; those with the same machines share it.

import type { App, Service } from "../core/app.ts";

export function stickyCookie({ groups: [first] }: Pick<App, "groups">, { groups }: Pick<Service, "groups">): string {
  const isFirst = groups.length === 1 && groups[0] === first?.name;
  return isFirst ? "kittiwake_sticky" : `kittiwake_sticky_${groups.toSorted().join("_")}`;
}
