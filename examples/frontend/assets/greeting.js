export function greeting(hour) {
  return hour < 12 ? "Good morning" : "Good day";
}
